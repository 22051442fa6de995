"""One training step, and one evaluation: written once, run eagerly or recorded.

The equations of a step are three functions over arrays. Eager mode calls them on plain
arrays. Otherwise they are called once on traced arrays, and the program that comes of
it is replayed: segments "gradients" (forward, δ, backward), "update" and "loss". The
loss is computed only when it is read.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

import numpy as np

from xpnet.backend import Array, Backend
from xpnet.backend.arrays import all_finite
from xpnet.backend.blas import one_thread
from xpnet.common.console import warn
from xpnet.compiler import JitProgram, Program, compile_tape
from xpnet.compiler.row_partition import RowPartition
from xpnet.execution import c_steps
from xpnet.execution.batch import Batch, BatchSpec
from xpnet.execution.update import UpdateState
from xpnet.layers import Loss, Sequential, Views
from xpnet.trace import Tape, batch_sum

if TYPE_CHECKING:
    from xpnet.compiler.cuda.graph import Repeated

SEGMENTS = ("gradients", "update", "loss")
UNSIGNED = {np.dtype(f"i{n}"): np.dtype(f"u{n}") for n in (1, 2, 4, 8)}


def _networks(model: Sequential) -> int | None:
    """Networks along the first axis of the model's arrays; None for one alone."""
    assert model.buffers is not None
    return next(iter(model.buffers.lead), None)


def warn_of_refusal(reason: str) -> None:
    """Say that calls of a device run as they are, and why."""
    warn(
        f"steps run call by call, not as CUDA graphs: {reason}; the results are the "
        "same, steps_per_graph=0 keeps graphs from being tried",
        RuntimeWarning,
        stacklevel=2,
    )


def _weak(record: Callable[..., Program]) -> Callable[..., Program]:
    """`record`, without holding the step that it is a method of.

    So a step and its arrays go as soon as they are let go.
    """
    found = WeakMethod(record)

    def run(*args: Any) -> Program:
        own = found()
        assert own is not None
        return own(*args)

    return run


class TrainingStep:
    """Gradients, update and loss for one kind of batch.

    Attributes:
        batch: the buffers that batches are copied into.
        x: the samples that the next run reads: batch.x, or an array read in place.
        loss: Σᵢ wᵢ lᵢ / Σ w of the batch, (..., 1, 1), after the segment "loss".

    Args:
        graphs: whether `run_whole` may become a CUDA graph.
        whole: the segments that `run_whole` runs.
    """

    def __init__(
        self,
        model: Sequential,
        loss: Loss,
        rule: UpdateState,
        kind: BatchSpec,
        eager: bool = False,
        jit: bool | None = None,
        graphs: bool = False,
        whole: tuple[str, ...] = ("gradients", "update"),
    ) -> None:
        assert model.buffers is not None
        self.model, self.loss_function, self.rule = model, loss, rule
        self.batch = Batch(kind, model)
        buffers = model.buffers
        self.backend: Backend = buffers.backend
        with self.backend.active():
            self.loss = self.backend.zeros((*buffers.lead, 1, 1), buffers.dtype)
        self.x = self.batch.x
        # Masks and noise are the trainer's own, also if another shares the model.
        self._noise = [(n, n.noise) for n in model.layers if n.uses_noise]
        self._partition: RowPartition | None = None
        self.replay: JitProgram | None = None
        if not eager:
            self.replay = JitProgram(
                _weak(self._record), self.backend, "gradients", jit
            )
        self._whole = whole
        self._linked: tuple[Program, c_steps.Steps | None] | None = None
        self._graph: Repeated | None = None
        if graphs and self.program is not None:
            from xpnet.compiler.cuda import graph

            segments = self.program.segments
            calls = [call for name in whole for call in segments[name]]
            self._graph = graph.Repeated(calls, self.backend, 1, warn_of_refusal)

    @property
    def program(self) -> Program | None:
        """What is replayed now; None in eager mode."""
        return None if self.replay is None else self.replay.program

    def run_whole(self) -> bool:
        """The segments of a whole step: on a GPU as one graph.

        On the host the gradients are looked at before the update: where they are not
        finite there is none, and the answer is False.
        """
        if self._graph is not None:
            self._graph.run(1)
            return True
        if not self.backend.is_host:
            with np.errstate(all="ignore"):
                for segment in self._whole:
                    self.run(segment)
            return True
        in_c = self._in_c()
        if in_c is not None:
            # C warns of nothing: `errstate` would cost a microsecond.
            with one_thread(in_c.shared):
                return in_c.run(0, 1) == 1
        assert self.model.buffers is not None
        with np.errstate(all="ignore"):
            self.run("gradients")
            if not all_finite(self.model.buffers.grads):
                return False
            self.run("update")
        return True

    def _in_c(self) -> c_steps.Steps | None:
        """Gradients, the look and the update as one call of C; None where not in C."""
        program = self.program
        if program is None or program.native is None:
            return None
        if self._linked is None or self._linked[0] is not program:
            assert self.model.buffers is not None
            grads = self.model.buffers.grads
            self._linked = program, c_steps.whole(program.native, grads)
        return self._linked[1]

    def read(self, x: Array) -> None:
        """Take the samples from `x`, a checked array of the batch's shape.

        Where only products read them they are read in place, until the next batch
        comes; elsewhere they are copied.
        """
        self.batch.holds = None
        if x is self.x:
            return
        program, own = self.program, self.batch.x
        if (
            program is None
            or program.readers is None
            or x.dtype != own.dtype
            or not x.flags.c_contiguous
        ):
            self.unbind()
            np.copyto(own, x)
        else:
            program.rebind(x)
            self.x = x

    def unbind(self) -> None:
        """Take the samples from the batch's own buffer again."""
        if self.x is not self.batch.x and self.program is not None:
            self.program.rebind(self.batch.x)
        self.x = self.batch.x

    def accepts(self, x: Array, y: Array) -> bool:
        """Whether the values are finite and the labels in range; shapes are right."""
        if not all_finite(x):
            return False
        if x.dtype.itemsize > self.batch.x.dtype.itemsize and x.dtype.kind == "f":
            flat = x.reshape(-1)  # a sum of squares that fits has terms that fit
            if not np.vdot(flat, flat) < np.finfo(self.batch.x.dtype).max:
                return False
        if not self.batch.kind.labels:
            # Shares of classes have more to be checked than a sum of squares tells.
            narrow = y.dtype == self.batch.y.dtype
            values = self.loss_function.targets == "values"
            return values and narrow and all_finite(y)
        # Seen as unsigned numbers, negative labels are the largest of all.
        if y.dtype.kind == "i":
            if y.dtype not in UNSIGNED:  # of the other byte order
                return False
            y = y.view(UNSIGNED[y.dtype])
        return bool(y[y.argmax()] < self.model.n_outputs)

    def run(self, segment: str) -> None:
        """One segment: replayed, or in eager mode run as it is written."""
        if self.replay is not None:
            self.replay.run(segment)
        elif segment == "gradients":
            self._own_noise()
            b = self.batch
            self._kept = self._gradients(b.x, b.y, b.w, lambda array: array)
        elif segment == "update":
            self.rule.update(self.model)
        else:
            self._loss(self.loss, *self._kept)

    def _own_noise(self) -> None:
        for layer, noise in self._noise:
            layer.noise = noise

    def _record(self, loops: bool, wait: bool = True) -> Program:
        tape, b = Tape(), self.batch
        recording = self.model.access.recording
        with np.errstate(all="ignore"), self.backend.active(), recording:
            self._own_noise()
            with self.model.traced(tape):
                tape.segment = "gradients"
                x, y = tape.leaf(b.x), tape.leaf(b.y)
                w = None if b.w is None else tape.leaf(b.w)
                kept = self._gradients(x, y, w, tape.leaf)
                tape.segment = "update"
                self.rule.update(self.model, tape.leaf)
                tape.segment = "loss"
                self._loss(tape.leaf(self.loss), *kept)
        source, networks = tape.leaf(b.x), _networks(self.model)
        with self.backend.active(), tape.released():
            how = (loops, source, networks, wait, self._partition)
            program = compile_tape(tape, self.backend, {}, SEGMENTS, *how)
        self._partition = program.partition  # the same bits if it is compiled again
        if self.x is not b.x:  # recompiled while it reads another array
            program.rebind(self.x)
        return program

    # The equations.

    def _gradients(
        self, x: Array, y: Array, w: Array | None, leaf: Any
    ) -> tuple[Any, ...]:
        z = self.model.forward(x, training=True)
        t = self.batch.targets(y, z.dtype)
        shares = self.batch.shares(w)
        self.model.backward(self.loss_function.gradient(z, t) * shares)
        return z, t, shares, self.rule.penalty(leaf)

    def _loss(
        self, out: Array, z: Array, t: Array, shares: Any, penalty: Array | None
    ) -> None:
        loss = batch_sum(self.loss_function.rows(z, t) * shares)
        out[...] = loss if penalty is None else loss + penalty


class EvaluationStep:
    """The model's prediction for one kind of batch, and the loss of it.

    Attributes:
        output: link(z) after `run()`, (..., batch, n).
        total: Σᵢ wᵢ lᵢ after `run()`, where targets are given.

    Args:
        views: the parameters to predict with; None for the model's own.
    """

    def __init__(
        self,
        model: Sequential,
        loss: Loss,
        kind: BatchSpec,
        targets: bool,
        eager: bool = False,
        jit: bool | None = None,
        views: Views | None = None,
    ) -> None:
        assert model.buffers is not None
        self.model, self.loss_function, self.targets = model, loss, targets
        self._views = model.buffers.views if views is None else views
        self.batch = Batch(kind, model)
        buffers = model.buffers
        self.backend: Backend = buffers.backend
        with self.backend.active():
            samples = self.batch.y.shape[:-1]
            self.output = self.backend.zeros((*samples, model.n_outputs), buffers.dtype)
            self.total = self.backend.zeros((*buffers.lead, 1, 1), buffers.dtype)
        self.replay: JitProgram | None = None
        if not eager:
            self.replay = JitProgram(_weak(self._record), self.backend, "evaluate", jit)

    @property
    def program(self) -> Program | None:
        """What is replayed now; None in eager mode."""
        return None if self.replay is None else self.replay.program

    def run(self) -> None:
        """Fill `output`, and `total` where targets are given."""
        program, b = self.program, self.batch
        in_c = program is not None and program.native is not None  # warns of nothing
        with nullcontext() if in_c else np.errstate(all="ignore"):
            if self.replay is not None:
                self.replay.run("evaluate")
            else:
                with self.model.shown(self._views):
                    self._evaluate(b.x, b.y, b.w, self.output, self.total)

    def _record(self, loops: bool, wait: bool = True) -> Program:
        tape, b = Tape(), self.batch
        tape.segment = "evaluate"
        with self.backend.active(), self.model.traced(tape, self._views):
            x, y = tape.leaf(b.x), tape.leaf(b.y)
            w = None if b.w is None else tape.leaf(b.w)
            self._evaluate(x, y, w, tape.leaf(self.output), tape.leaf(self.total))
        with self.backend.active(), tape.released():
            return compile_tape(
                tape,
                self.backend,
                {},
                ("evaluate",),
                loops,
                n_networks=_networks(self.model),
                wait=wait,
            )

    def _evaluate(
        self, x: Array, y: Array, w: Array | None, output: Array, total: Array
    ) -> None:
        z = self.model.forward(x, training=False)
        output[...] = self.loss_function.link(z)
        if self.targets:
            rows = self.loss_function.rows(z, self.batch.targets(y, z.dtype))
            total[...] = batch_sum(rows if w is None else rows * w)
