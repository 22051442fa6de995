"""Which network trains in which row: of programs that are kept, or of new ones."""

from collections.abc import Sequence
from concurrent.futures import Executor

from xpnet.backend import Array
from xpnet.stack.group import NetworkGroup
from xpnet.stack.kept import Kept
from xpnet.stack.layout import layout_of
from xpnet.stack.network import Network
from xpnet.stack.parameters import StackedParameters
from xpnet.training.data import Samples


def group_of(
    networks: Sequence[Network],
    kept: Kept[NetworkGroup],
    samples: Samples,
    batch_size: int,
    shuffle: bool,
    w: Array = None,
    pool: Executor | None = None,
    threads: int = 1,
) -> NetworkGroup:
    """The networks as a group: with programs that are kept, or with new ones.

    Those with most samples are first, and those that see the same ones side by side. In
    rows without a network the first of them stands in; it is not trained there.

    Args:
        networks: of equal `stack_key`, built.
        kept: the programs of earlier groups.
        samples, batch_size, w: see `NetworkGroup`.
        shuffle, pool, threads: see `NetworkGroup.begin`.
    """
    placed, group = _in_order(networks), None
    trainers = [network.trainer for network in placed]
    counts = [len(network.rows) for network in placed]
    settings = kept.settings(trainers)
    found = kept.take(settings, counts, True)
    if found is None:
        parameters = StackedParameters(trainers, True, settings, counts)
    else:
        parameters, rows, group = found
        parameters.take(trainers, rows, counts)
        stand_in = placed[0]
        if len(rows) < len(parameters.settings):
            stand_in = Network(
                stand_in.trainer, stand_in.rows, stand_in.held, frozen=True
            )
        in_order, placed = placed, [stand_in] * len(parameters.settings)
        for row, network in zip(rows, in_order, strict=True):
            placed[row] = network
    if group is None or group.layout != layout_of(parameters, samples, batch_size, w):
        group = NetworkGroup(parameters, samples, batch_size, w)
    group.begin(placed, samples, shuffle, w, pool, threads)
    return group


def _in_order(networks: Sequence[Network]) -> list[Network]:
    """Most samples first; networks of the same samples find them in the cache."""
    first: dict[int, int] = {}
    found: list[tuple[int, int, int]] = []
    for i, network in enumerate(networks):
        same = first.setdefault(id(network.rows), i)
        found.append((-len(network.rows), same, i))
    return [networks[i] for _, _, i in sorted(found)]
