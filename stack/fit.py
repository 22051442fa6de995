"""The epochs of a stack's `fit`: groups, histories, callbacks, the end."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from operator import attrgetter

from xpnet.backend import Array
from xpnet.backend.blas import one_thread
from xpnet.common.console import complain
from xpnet.compiler import c as native
from xpnet.execution.interrupt import Interrupt
from xpnet.stack.epochs import EpochBlock
from xpnet.stack.evaluate import StackEvaluation
from xpnet.stack.group import Epoch, NetworkGroup
from xpnet.stack.kept import COMPACT_BELOW, Kept
from xpnet.stack.memory import epochs_ahead
from xpnet.stack.network import Network
from xpnet.stack.placement import group_of
from xpnet.training.data import Samples
from xpnet.training.divergence import overflow
from xpnet.training.history import History
from xpnet.training.trainer import Trainer

ALONE = nullcontext()
MIN_NETWORKS_PER_THREAD = 8  # networks that a thread is worth
Scores = list[dict[str, float]]  # of each network


class WorkerGroup:
    """A group, and what its networks are validated on."""

    def __init__(
        self,
        group: NetworkGroup,
        evaluation: StackEvaluation | None,
        pool: Executor | None,
        threads: int,
        block: EpochBlock | None,
    ) -> None:
        self.group, self.evaluation = group, evaluation
        self.pool, self.threads, self.block = pool, threads, block
        self.seconds, self._foreseen = 0.0, False

    def epoch(self, interrupt: Interrupt) -> tuple[Epoch, Scores | None]:
        """(the epoch, scores after it); it may run in a thread."""
        epoch = self.group.epoch(interrupt)
        self.seconds = epoch.seconds
        if self.evaluation is None or epoch.batches is not None:
            return epoch, None
        return epoch, self.evaluation.run(self.group.training)

    def epochs(
        self, block: EpochBlock, count: int, interrupt: Interrupt
    ) -> Iterator[Epoch]:
        """What `count` epochs gave that are taken in one go."""
        for epoch in block.run(count, self.seconds, interrupt):
            self.seconds = epoch.seconds
            yield epoch

    def foresee(self, epochs: int) -> None:
        """Tell the programs, once they have run, how much is to come."""
        if self.seconds and not self._foreseen:
            self._foreseen = True
            self.group.foresee(epochs, self.seconds)


class StackFit:
    """One `fit`: what all its groups share.

    Args:
        samples, held: to train on, to validate on.
        batch_size, shuffle, epochs: as for `Stack.fit`.
        w: see `NetworkGroup`.
        kept: the programs of earlier fits.
    """

    def __init__(
        self,
        samples: Samples,
        held: Samples | None,
        batch_size: int,
        shuffle: bool,
        w: Array,
        epochs: int,
        kept: Kept[NetworkGroup],
    ) -> None:
        self.samples, self.held, self.w, self.kept = samples, held, w, kept
        self.batch_size, self.shuffle = batch_size, shuffle
        self.epochs = epochs
        self.progress: Callable[[int], object] = lambda count: None

    def all(self, networks: list[Network], fitting: int) -> None:
        """Train the networks, at most `fitting` of them side by side."""
        parts = math.ceil(len(networks) / fitting)
        interrupted = ""
        metrics, validated = networks[0].trainer.metrics, self.held is not None
        empty = History.of(metrics, validated)  # metrics are those of all networks
        for network in networks:
            history = History(empty.monitor, empty.higher_is_better)
            network.trainer.history = history
            network.trainer.stop = ""
        with Interrupt() as interrupt:
            for part in range(parts):
                chosen = networks[part::parts]
                if interrupt.asked:
                    for network in chosen:
                        network.trainer.stop = "interrupted before its first epoch"
                else:
                    self._side_by_side(chosen, interrupt)
                interrupted = interrupted or _interrupted(chosen)
        for network in networks:
            network.trainer.history.stopped = network.trainer.stop
        if interrupted:
            # The script goes on: this must not be taken for a finished training.
            complain(f"fit: {interrupted}; returning")

    def _side_by_side(self, networks: list[Network], interrupt: Interrupt) -> None:
        """Train networks side by side; callbacks see the end however it comes."""
        groups: list[WorkerGroup] = []
        count = workers(list(map(attrgetter("trainer"), networks)))
        try:
            with shared_by(count) as pool:
                groups += self._fit_groups(networks, count, pool)
                for network in networks:
                    for callback in network.callbacks:
                        callback.on_fit_begin(network.trainer)
                left = self.epochs
                while left and groups:
                    left -= self._next_epochs(groups, left, pool, interrupt)
                    ended = [worker for worker in groups if not worker.group.alive]
                    groups[:] = [self._compact(t) for t in groups if t.group.alive]
                    self._keep(ended)
                    for worker in groups:
                        worker.foresee(left)
        finally:
            self._end(groups)
        self._keep(groups)

    def _keep(self, groups: Sequence[WorkerGroup]) -> None:
        """The programs of these groups are for another fit."""
        for worker in groups:
            self.kept.put(worker.group.parameters, worker.group)

    def _next_epochs(
        self,
        groups: list[WorkerGroup],
        left: int,
        pool: Executor | None,
        interrupt: Interrupt,
    ) -> int:
        """The next epoch of all groups, or several of the only one; how many."""
        block = groups[0].block if len(groups) == 1 else None
        count = 1 if block is None else block.of(left, groups[0].seconds)
        if block is not None and count > 1:
            for epoch in groups[0].epochs(block, count, interrupt):
                self._rows(groups[0], epoch)
            return count
        run = partial(WorkerGroup.epoch, interrupt=interrupt)
        done = map(run, groups) if pool is None else pool.map(run, groups)
        for worker, result in zip(groups, list(done), strict=True):
            self._rows(worker, *result)
        return 1

    def _fit_groups(
        self, networks: list[Network], count: int, pool: Executor | None
    ) -> list[WorkerGroup]:
        """One group whose steps threads share in C; else a group for each thread.

        Calls from Python hold its lock, or nearly so: threads cannot share them.
        """
        if count == 1 or native.expected(networks[0].trainer.jit):
            whole = self._fit_group(networks, pool, count)
            if count == 1 or whole.group.in_c:
                return [whole]
            self._keep([whole])
            del whole  # and with it its arrays
        return [self._fit_group(networks[i::count], pool, 1) for i in range(count)]

    def _fit_group(
        self, networks: list[Network], pool: Executor | None, threads: int
    ) -> WorkerGroup:
        batches = (self.samples, self.batch_size, self.shuffle, self.w)
        group = group_of(networks, self.kept, *batches, pool, threads)
        group.record()
        evaluation = block = None
        if self.held is not None:
            rows = [m.held for m in group.networks if m.held is not None]
            held = (self.held, rows, self.batch_size)
            evaluation = StackEvaluation(group.parameters, *held, pool, threads)
        elif group.backend.is_host:
            room = epochs_ahead(networks[0].trainer, self.samples, self.batch_size)
            block = EpochBlock(group, min(room, self.epochs), threads)
        return WorkerGroup(group, evaluation, pool, threads, block)

    def _compact(self, worker: WorkerGroup) -> WorkerGroup:
        """The worker group, or a new one without the networks that have ended."""
        group = worker.group
        if group.alive > COMPACT_BELOW * len(group.networks) or group.leaves_out:
            return worker
        group.release()
        left = [m for m in group.networks if not m.frozen]
        smaller = self._fit_group(left, worker.pool, worker.threads)
        smaller.seconds = worker.seconds * group.alive / len(group.networks)
        self._keep([worker])
        return smaller

    def _end(self, groups: list[WorkerGroup]) -> None:
        """Give the trainers the values of their rows, and let the callbacks end."""
        for group in [worker.group for worker in groups]:
            for i, network in enumerate(group.networks):
                if not network.frozen:
                    self._leave(group, i)

    def _leave(self, group: NetworkGroup, i: int) -> None:
        """Network i is done."""
        group.freeze(i)
        network = group.networks[i]
        self._end_callbacks(network)
        network.error = overflow(network.trainer)
        if network.error is not None:
            network.trainer.stop = f"diverged: {network.error}"

    def _end_callbacks(self, network: Network) -> None:
        for callback in reversed(network.callbacks):
            callback.on_fit_end(network.trainer)

    def _rows(
        self,
        worker: WorkerGroup,
        epoch: Epoch,
        scores: Scores | None = None,
    ) -> None:
        """A row of every history of the networks that were training."""
        group = worker.group
        for i in epoch.training:
            network = group.networks[i]
            self.progress(1)
            if i in epoch.diverged:
                self._end_callbacks(network)
                continue
            row = _row(network.trainer, epoch, i, scores)
            network.trainer.history.rows.append(row)
            self._after(group, i, row, epoch)

    def _after(
        self, group: NetworkGroup, i: int, row: dict[str, float], epoch: Epoch
    ) -> None:
        """What its callbacks make of network i's epoch."""
        network = group.networks[i]
        trainer = network.trainer
        left = network.frozen  # it diverged in an epoch that is not reported yet
        if epoch.batches is not None and not left:
            number = len(trainer.history)
            trainer.stop = f"interrupted in epoch {number} after batch {epoch.batches}"
        elif network.callbacks:
            if epoch.first and not left:
                group.parameters.store(i)
            for callback in network.callbacks:
                callback.on_epoch_end(trainer, row)
            if epoch.last and not left:
                group.parameters.load([i])
        if trainer.stop and not left:
            self._leave(group, i)


def workers(trainers: Sequence[Trainer]) -> int:
    """Threads that share these networks: as many as BLAS would take.

    The products of small networks are too small for threads within. On a device there
    is one.
    """
    return max(
        1, min(trainers[0].backend.threads, len(trainers) // MIN_NETWORKS_PER_THREAD)
    )


def shared_by(threads: int) -> AbstractContextManager[Executor | None]:
    """Within the block threads share the networks: their pool, or None for one thread.

    BLAS computes with one thread where several share them.
    """
    return ALONE if threads == 1 else _pool(threads)


@contextmanager
def _pool(threads: int) -> Iterator[Executor]:
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        yield pool


def _row(
    trainer: Trainer,
    epoch: Epoch,
    i: int,
    scores: Scores | None,
) -> dict[str, float]:
    """Network i's row of its history."""
    row = {"loss": float(epoch.losses[i])}
    if scores is not None:
        row |= {f"val_{name}": value for name, value in scores[i].items()}
    row["learning_rate"] = trainer.rates.at(max(trainer.steps_done - 1, 0))
    row["seconds"] = epoch.seconds
    row["samples_per_second"] = int(epoch.seen[i]) / max(epoch.seconds, 1e-9)
    return row


def _interrupted(networks: list[Network]) -> str:
    """What the first of these that Ctrl-C has ended says."""
    stops = [network.trainer.stop for network in networks]
    return next((stop for stop in stops if stop.startswith("interrupted")), "")
