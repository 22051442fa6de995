"""The best setting, trained on all samples that it was chosen on."""

from typing import Any

from xpnet.common import check_whole
from xpnet.data import Standardizer
from xpnet.selection.ensemble import Ensemble
from xpnet.selection.fold_data import Split, scaled_x
from xpnet.selection.folds import Indices
from xpnet.selection.jobs import Job
from xpnet.selection.options import Checked
from xpnet.selection.runner import Maker, Runner
from xpnet.selection.space import Settings
from xpnet.stack import Stack


def refit(
    make: Maker,
    settings: Settings,
    x: Any,
    y: Any,
    rows: Indices,
    options: Checked,
    members: int = 1,
) -> Ensemble:
    """`members` networks of these settings and different seeds, trained on `rows`.

    Scaling is fitted on these rows; the share `validation` of them is held out for the
    callbacks, as in the search.

    Raises:
        ArithmeticError: all of them diverged.
    """
    members = check_whole("", "members", members, 1)
    splits = [Split(rows, rows, repeat) for repeat in range(members)]
    runner = Runner(make, x, y, options)
    runner.check(settings)
    runner.cut(splits)
    trial = runner.trial(settings)
    jobs = [runner.job(trial, i) for i in range(members)]
    stack = Stack([runner.network_of(job) for job in jobs])
    # All members have the same rows and share one scaled copy.
    own = runner.splits[0].train
    jobs = [Job(trial, 0, job.epochs, job.batch_size) for job in jobs]
    data = runner.fold_data(jobs)
    with runner.bar(members * jobs[0].epochs) as progress:
        runner.fit(stack, data, jobs, jobs[0].epochs, progress)
    sound = [t for i, t in enumerate(stack.trainers) if i not in stack.errors]
    if not sound:
        raise next(iter(stack.errors.values()))
    _, scaler = scaled_x(runner.x, own, options.scale)
    y_scaler = None
    if options.scale_y:
        y_scaler = Standardizer.fit(runner.y[own])
    return Ensemble(sound, scaler, y_scaler)
