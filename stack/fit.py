"""The epochs of a stack's `fit`: cohorts, histories, callbacks, the end."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from xpnet.backend import Array
from xpnet.backend.blas import one_thread
from xpnet.common.console import complain
from xpnet.compiler import c as native
from xpnet.execution.interrupt import Interrupt
from xpnet.stack.epochs import Ahead
from xpnet.stack.evaluate import Evaluation
from xpnet.stack.group import Cohort, Epoch
from xpnet.stack.memory import epochs_ahead
from xpnet.stack.network import Member
from xpnet.training.data import Samples
from xpnet.training.divergence import overflow
from xpnet.training.history import History
from xpnet.training.trainer import Trainer

PACK = 0.75  # share of rows still training below which a stack is packed anew
FEWEST = 8  # networks that a thread is worth
Scores = list[dict[str, float]]  # of each network


class Team:
    """A cohort, and what its networks are validated on."""

    def __init__(
        self,
        cohort: Cohort,
        evaluation: Evaluation | None,
        pool: ThreadPoolExecutor,
        threads: int,
        ahead: Ahead | None,
    ) -> None:
        self.cohort, self.evaluation = cohort, evaluation
        self.pool, self.threads, self.ahead = pool, threads, ahead
        self.seconds, self._told = 0.0, False

    def epoch(self, interrupt: Interrupt) -> tuple[Epoch, Scores | None]:
        """(the epoch, scores after it); it may run in a thread."""
        epoch = self.cohort.epoch(interrupt)
        self.seconds = epoch.seconds
        if self.evaluation is None or epoch.batches is not None:
            return epoch, None
        return epoch, self.evaluation.run()

    def epochs(self, ahead: Ahead, count: int, interrupt: Interrupt) -> Iterator[Epoch]:
        """What `count` epochs gave that are taken in one go."""
        for epoch in ahead.run(count, self.seconds, interrupt):
            self.seconds = epoch.seconds
            yield epoch

    def foresee(self, epochs: int) -> None:
        """Tell the programs, once they have run, how much is to come."""
        if self.seconds and not self._told:
            self._told = True
            self.cohort.foresee(epochs, self.seconds)


class Together:
    """One `fit`: what all its cohorts share."""

    def __init__(
        self,
        samples: Samples,
        held: Samples | None,
        batch_size: int,
        shuffle: bool,
        w: Array,
        epochs: int,
    ) -> None:
        self.samples, self.held, self.w = samples, held, w
        self.batch_size, self.shuffle = batch_size, shuffle
        self.epochs = epochs
        self.progress: Callable[[int], object] = lambda count: None

    def all(self, members: list[Member], fitting: int) -> None:
        """Train the members, at most `fitting` of them side by side."""
        parts = math.ceil(len(members) / fitting)
        interrupted = ""
        for member in members:
            metrics, validated = member.trainer.metrics, self.held is not None
            member.trainer.history = History.of(metrics, validated)
            member.trainer.stop = ""
        with Interrupt() as interrupt:
            for part in range(parts):
                chosen = members[part::parts]
                if interrupt.asked:
                    for member in chosen:
                        member.trainer.stop = "interrupted before its first epoch"
                else:
                    self._together(chosen, interrupt)
                interrupted = interrupted or _interrupted(chosen)
        for member in members:
            member.trainer.history.stopped = member.trainer.stop
        if interrupted:
            # The script goes on: nobody may take this for a finished training.
            complain(f"fit: {interrupted}; returning")

    def _together(self, members: list[Member], interrupt: Interrupt) -> None:
        """Train members side by side; callbacks see the end however it comes."""
        teams: list[Team] = []
        count = workers([member.trainer for member in members])
        with ExitStack() as ends:
            ends.callback(lambda: self._end(teams))
            if count > 1:
                ends.enter_context(one_thread())
            pool = ends.enter_context(ThreadPoolExecutor(count))
            teams += self._teams(members, count, pool)
            for member in members:
                for callback in member.callbacks:
                    callback.on_fit_begin(member.trainer)
            left = self.epochs
            while left and teams:
                left -= self._some(teams, left, pool, interrupt)
                teams[:] = [self._packed(t) for t in teams if t.cohort.alive]
                for team in teams:
                    team.foresee(left)

    def _some(
        self,
        teams: list[Team],
        left: int,
        pool: ThreadPoolExecutor,
        interrupt: Interrupt,
    ) -> int:
        """The next epoch of all teams, or several of the only one; how many."""
        ahead = teams[0].ahead if len(teams) == 1 else None
        count = 1 if ahead is None else ahead.of(left, teams[0].seconds)
        if ahead is not None and count > 1:
            for epoch in teams[0].epochs(ahead, count, interrupt):
                self._rows(teams[0], epoch)
            return count
        run = partial(Team.epoch, interrupt=interrupt)
        done = map(run, teams) if len(teams) == 1 else pool.map(run, teams)
        for team, result in zip(teams, list(done), strict=True):
            self._rows(team, *result)
        return 1

    def _teams(
        self, members: list[Member], count: int, pool: ThreadPoolExecutor
    ) -> list[Team]:
        """One team whose steps threads share in C; where they cannot, a team a thread.

        Python's own calls keep all threads but one waiting, or nearly so.
        """
        if count == 1 or native.expected(members[0].trainer.jit):
            whole = self._team(members, pool, count)
            if count == 1 or whole.cohort.in_c:
                return [whole]
            del whole  # and with it its arrays
        return [self._team(members[i::count], pool, 1) for i in range(count)]

    def _team(
        self, members: list[Member], pool: ThreadPoolExecutor, threads: int
    ) -> Team:
        batches = (self.samples, self.batch_size, self.shuffle)
        cohort = Cohort(members, *batches, self.w, pool, threads)
        cohort.record()
        evaluation = ahead = None
        if self.held is not None:
            rows = [m.held for m in cohort.members if m.held is not None]
            held = (self.held, rows, self.batch_size)
            evaluation = Evaluation(cohort.bank, *held, pool, threads)
        elif cohort.backend.is_host:
            room = epochs_ahead(members[0].trainer, self.samples, self.batch_size)
            ahead = Ahead(cohort, min(room, self.epochs), pool, threads)
        return Team(cohort, evaluation, pool, threads, ahead)

    def _packed(self, team: Team) -> Team:
        """The team; anew, without the networks that have ended, once they are many."""
        cohort = team.cohort
        if cohort.alive > PACK * len(cohort.members):
            return team
        cohort.release()
        left = [m for m in cohort.members if not m.frozen]
        packed = self._team(left, team.pool, team.threads)
        packed.seconds = team.seconds * cohort.alive / len(cohort.members)
        return packed

    def _end(self, teams: list[Team]) -> None:
        """Hand the arrays back to who still trains, and let the callbacks end."""
        for cohort in [team.cohort for team in teams]:
            for i, member in enumerate(cohort.members):
                if not member.frozen:
                    self._leave(cohort, i)

    def _leave(self, cohort: Cohort, i: int) -> None:
        """Network i is done."""
        cohort.freeze(i)
        member = cohort.members[i]
        self._say_goodbye(member)
        member.error = overflow(member.trainer)
        if member.error is not None:
            member.trainer.stop = f"diverged: {member.error}"

    def _say_goodbye(self, member: Member) -> None:
        for callback in reversed(member.callbacks):
            callback.on_fit_end(member.trainer)

    def _rows(
        self,
        team: Team,
        epoch: Epoch,
        scores: Scores | None = None,
    ) -> None:
        """A row of every history of the networks that were training."""
        cohort = team.cohort
        for i in epoch.training:
            member = cohort.members[i]
            self.progress(1)
            if i in epoch.diverged:
                self._say_goodbye(member)
                continue
            row = _row(member.trainer, epoch, i, scores)
            member.trainer.history.rows.append(row)
            self._after(cohort, i, row, epoch)

    def _after(
        self, cohort: Cohort, i: int, row: dict[str, float], epoch: Epoch
    ) -> None:
        """What its callbacks make of network i's epoch."""
        member = cohort.members[i]
        trainer = member.trainer
        left = member.frozen  # it has diverged in an epoch yet to be told of
        if epoch.batches is not None and not left:
            number = len(trainer.history)
            trainer.stop = f"interrupted in epoch {number} after batch {epoch.batches}"
        elif member.callbacks:
            if epoch.first and not left:
                cohort.bank.pull(i)
            for callback in member.callbacks:
                callback.on_epoch_end(trainer, row)
            if epoch.last and not left:
                cohort.bank.push(i)
        if trainer.stop and not left:
            self._leave(cohort, i)


def workers(trainers: Sequence[Trainer]) -> int:
    """Threads that share these networks: as many as BLAS would take.

    The products of small networks are too small for threads within. On a device there
    is one.
    """
    return max(1, min(trainers[0].backend.threads, len(trainers) // FEWEST))


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


def _interrupted(members: list[Member]) -> str:
    """What the first of these that Ctrl-C has ended says."""
    stops = [member.trainer.stop for member in members]
    return next((stop for stop in stops if stop.startswith("interrupted")), "")
