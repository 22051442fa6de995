"""The steps of a training that have been recorded, one for each kind of batch."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from xpnet.compiler.buffers import FREED
from xpnet.compiler.drivers import driver_of
from xpnet.execution.batch import BatchSpec
from xpnet.execution.step import EvaluationStep, TrainingStep
from xpnet.layers import Loss
from xpnet.training import inputs
from xpnet.training.device_memory import recorded
from xpnet.training.parameters import ParameterAccess
from xpnet.training.recent import Recent

Prediction = tuple[BatchSpec, bool, bool]  # with targets; with averages for weights
UNGUARDED = nullcontext()


class RecordedSteps(ParameterAccess):
    """Steps are recorded when they are first asked for; the newest are kept.

    Attributes:
        loss_function, seed, eager, jit, steps_per_graph: see `Trainer`.
    """

    loss_function: Loss
    seed: int
    eager: bool
    jit: bool | None
    steps_per_graph: int

    def _make_room_for_steps(self) -> None:
        """Nothing is recorded yet."""
        self._steps: Recent[BatchSpec, TrainingStep] = Recent()
        self._accepted: dict[tuple[Any, ...], TrainingStep] = {}  # see `BatchInputs`
        self._evaluations: Recent[Prediction, EvaluationStep] = Recent()

    @property
    def takes_graphs(self) -> bool:
        """Whether its steps may become CUDA graphs."""
        return driver_of(self.backend) is not None and self.steps_per_graph > 0

    def training_step(self, kind: BatchSpec) -> TrainingStep:
        """The step for batches of this kind: recorded when it is first asked for."""
        self.check_outside_averages()
        step = self._steps.get(kind)
        if step is None:
            samples = kind.shape[
                len(kind.shape) - len(self.model.sample_shape or ()) - 1
            ]
            inputs.check_batch(self.model, samples)
            self.model.bind_noise((self.seed,))
            step = recorded(self.backend, kind, self._new_step)
            self._steps.put(kind, step)
            kept = set(self._steps)
            for key in [k for k, s in self._accepted.items() if s not in kept]:
                del self._accepted[key]
        return step

    def _new_step(self, kind: BatchSpec) -> TrainingStep:
        options = (self.eager, self.jit, self.takes_graphs)
        return TrainingStep(self.model, self.loss_function, self.rule, kind, *options)

    def evaluation_step(
        self, kind: BatchSpec, targets: bool, averaged: bool = False
    ) -> EvaluationStep:
        """A new step for predictions, with the averages for weights if `averaged`."""
        views = self.rule.averaged_views() if averaged else None

        def record(kind: BatchSpec) -> EvaluationStep:
            options = (targets, self.eager, self.jit, views)
            return EvaluationStep(self.model, self.loss_function, kind, *options)

        return recorded(self.backend, kind, record)

    def take_evaluation(self, prediction: Prediction) -> EvaluationStep:
        """A step for predictions, the caller's own until `put_evaluation`."""
        step = self._evaluations.take(prediction)
        return self.evaluation_step(*prediction) if step is None else step

    def put_evaluation(self, prediction: Prediction, step: EvaluationStep) -> None:
        """Keep a step for the next predictions of batches of this kind."""
        self._evaluations.put(prediction, step)
        if FREED.much:
            FREED.give_back()

    @property
    def in_turn(self) -> AbstractContextManager[Any]:
        """Within the block predictions on a device have it for themselves."""
        return UNGUARDED if self.backend.is_host else self.model.access.recording
