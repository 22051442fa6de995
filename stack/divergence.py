"""Networks of a stack that diverge: frozen as they were, with an error each."""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from xpnet.backend import Array
from xpnet.common.arrays import NDArray
from xpnet.compiler import primitives
from xpnet.execution.step import TrainingStep
from xpnet.execution.steps import StepBlock
from xpnet.stack.layout import GroupLayout
from xpnet.stack.network import Network
from xpnet.training.divergence import divergence


def remove_diverged(
    group: GroupLayout,
    block: StepBlock,
    networks: Sequence[int],
    taken: NDArray,
    table: Array,
) -> dict[int, int]:
    """Freeze the networks whose step went wrong, as they were before it.

    Args:
        group: of all networks.
        block: whose gradients are computed.
        networks: the rows that took the step.
        taken: steps of each network since its trainer counted, (k,).
        table: the numbers of the steps, (steps, k, names).

    Returns:
        {row: steps} of those that it has ended.
    """
    step, ended = block.step, {}
    bad = ~np.isfinite(step.loss.reshape(-1))
    bad |= ~np.isfinite(block.gradients).all(axis=1)
    for row in (row for row in networks if bad[row - block.rows.start]):
        network, at = group.networks[row], row - block.rows.start
        if not network.frozen:
            ended[row] = int(taken[row])
            group.rollback.restore(row)
            group.freeze(row)
            x, loss = step.batch.x[at], float(step.loss[at, 0, 0])
            _report(group, network, ended[row], x, loss)
        group.parameters.zero(row)
        table[:, row] = step.rule.numbers[at] = group.numbers.idle(row)
    return ended


def look_back(group: GroupLayout, losses: NDArray, done: int) -> None:
    """On a device: freeze what diverged in this epoch, as it was before it.

    Args:
        group: of all networks.
        losses: of the steps, (steps, k).
        done: how many have been taken.
    """
    for row, network in enumerate(group.networks):
        steps = min(int(group.steps[row]), done)
        bad = np.flatnonzero(~np.isfinite(losses[:steps, row]))
        if not len(bad):
            continue
        if not network.frozen:
            first = int(bad[0])
            group.rollback.restore(row)
            group.freeze(row)
            step = _replayed(group, row, first)
            _report(group, network, first, step.x, float(losses[first, row]))
            group.parameters.store(row)  # which is as it was before the epoch
        group.parameters.zero(row)


def _replayed(group: GroupLayout, row: int, last: int) -> TrainingStep:
    """The gradients of step `last` of the epoch, taken by network `row` alone.

    Its trainer starts from before the epoch, call by call.
    """
    trainer = group.networks[row].trainer
    model, steps = trainer.model, dict[int, TrainingStep]()
    model.bind_noise((trainer.seed,))
    for i in range(last + 1):
        size = min(group.batch_size, int(group.counts[row]) - i * group.batch_size)
        if size not in steps:
            kind = group.samples.kind(size)
            parts = (model, trainer.loss_function, trainer.rule, kind)
            steps[size] = TrainingStep(*parts, eager=True)
        step, rows = steps[size], group.index[row, i, :size]
        places = (rows, rows, rows + int(group.blocks[row, 0]))
        pairs = group.samples.pairs(step.batch, group.w)
        for (source, out), place in zip(pairs, places, strict=False):
            function, arguments = primitives.take(group.backend, source, place, out)
            function(*arguments)
        done = trainer.steps_done + i
        trainer.rule.write(trainer.rates.at(done), done + 1)
        step.run("gradients")
        if i < last:
            step.run("update")
    return step


def _report(
    group: GroupLayout, network: Network, i: int, x: Array, loss: float
) -> None:
    """The error of a network that diverged in step i of the epoch."""
    trainer = network.trainer
    number = trainer.steps_done + i + 1
    if group.backend.is_host:
        trainer.steps_done += i
    network.error = divergence(trainer, SimpleNamespace(x=x), number, loss)
    trainer.stop = f"diverged: {network.error}"
