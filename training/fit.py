"""`Trainer.fit`, from its checked arguments to the loop."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from xpnet.common import check_flag, check_optional_flag, check_whole
from xpnet.execution.observer import OBSERVERS
from xpnet.training import inputs
from xpnet.training.callbacks import Callback, check_callbacks, history_for
from xpnet.training.checkpoint_callback import checkpoint_of
from xpnet.training.data import samples_of, validation_of
from xpnet.training.device_memory import placed
from xpnet.training.evaluate import check_metrics_for
from xpnet.training.history import History
from xpnet.training.loop import Loop
from xpnet.training.progress import Progress
from xpnet.training.state import TrainingState


def fit(
    state: TrainingState,
    x: Any,
    y: Any,
    epochs: int,
    batch_size: int | None,
    validation: tuple[Any, ...] | None,
    callbacks: Sequence[Callback] | Callback,
    sample_weight: Any,
    class_weight: Any,
    shuffle: bool,
    verbose: bool | None,
    diagnose: bool,
    resume: str | Path | None,
) -> History:
    """Check everything, place it on the device, record the steps, and train."""
    epochs = check_whole("", "epochs", epochs, 1)
    hooks = check_callbacks(callbacks)
    shuffle = check_flag("", "shuffle", shuffle)
    diagnose = check_flag("", "diagnose", diagnose)
    progress = Progress(check_optional_flag("", "verbose", verbose))
    history = history_for(state, hooks, validation is not None)
    samples = samples_of(state, x, y, sample_weight, class_weight)
    size = inputs.check_batch_size(batch_size, samples.count)
    rest = samples.count % size
    kinds = [samples.kind(n) for n in sorted({size, rest} - {0}, reverse=True)]
    with state.model.access.changing:
        with state.unbuild_on_error(), state._steps.keeping(kinds):
            for kind in kinds:
                state.training_step(kind)
        for step in state._steps:
            step.unbind()  # arrays that were read in place are let go
    held = None if validation is None else validation_of(state, validation)
    if held is not None:
        check_metrics_for(state, held, trial=True)
    data = (samples, held, size, shuffle)
    keeper, checkpoint = None, checkpoint_of(hooks)
    if checkpoint is not None or resume is not None:
        from xpnet.training.resume import keeper_of

        keeper = keeper_of(state, checkpoint, resume, hooks, epochs, data)
    state.history = history
    if keeper is not None:
        progress.note(keeper.begin(history))
        if keeper.finished:
            state.stop = history.stopped
            return history
    doctor = None
    if diagnose:
        doctor = OBSERVERS["doctor"](state, samples, size, epochs, progress, held)
    parts = (*data, hooks, progress, doctor, epochs, keeper)
    what = "a copy of the parameters, in case training diverges,"
    hint = "use fewer or narrower layers, or a smaller data set"
    sizes = [] if held is None else [size, held.count % size]
    predictions = [(held.kind(n), True, bool(state.average)) for n in sizes if held]
    with state._steps.keeping(kinds), state._evaluations.keeping(predictions):
        with state.model.access.changing:
            loop = placed(state.backend, what, hint, partial(Loop, state, *parts))
        return loop.run(epochs)
