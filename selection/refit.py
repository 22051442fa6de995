"""The best setting, trained on all samples that it was chosen on."""

from typing import Any

from xpnet.common import check_whole
from xpnet.data import Standardizer
from xpnet.selection.ensemble import Ensemble
from xpnet.selection.folds import Indices
from xpnet.selection.material import Part, scaled_x
from xpnet.selection.options import Checked
from xpnet.selection.runner import Job, Maker, Runner
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
    """`members` networks of these settings, with seeds of their own, trained on `rows`.

    Scaling is fitted on those rows; a share `validation` of them is held out for the
    callbacks, as in the search.

    Raises:
        ArithmeticError: all of them diverged.
    """
    members = check_whole("", "members", members, 1)
    parts = [Part(rows, rows, repeat) for repeat in range(members)]
    runner = Runner(make, x, y, options)
    runner.check(settings)
    runner.cut(parts)
    trial = runner.trial(settings)
    jobs = [runner.job(trial, i) for i in range(members)]
    stack = Stack([runner.network(settings, part.repeat) for part in parts])
    # Every member has the same rows, so one scaled copy is enough.
    own = runner.parts[0].train
    jobs = [Job(trial, 0, job.epochs, job.batch_size) for job in jobs]
    material = runner.material(jobs)
    with runner.bar(members * jobs[0].epochs) as told:
        runner.fit(stack, material, jobs, jobs[0].epochs, told)
    sound = [t for i, t in enumerate(stack.trainers) if i not in stack.errors]
    if not sound:
        raise next(iter(stack.errors.values()))
    _, scaler = scaled_x(runner.x, own, options.scale)
    y_scaler = None
    if options.scale_y:
        y_scaler = Standardizer.fit(runner.y[own])
    return Ensemble(sound, scaler, y_scaler)
