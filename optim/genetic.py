"""A genetic algorithm: selection, crossover and mutation of many points."""

from collections.abc import Iterator

import numpy as np

from xpnet.backend import generator
from xpnet.common import check_number, check_whole, explains_arguments
from xpnet.common.arrays import NDArray
from xpnet.optim.minimizer import Iterate, Minimizer, Objective, check_begun
from xpnet.optim.search import SEARCH, positive


@explains_arguments
class GeneticAlgorithm(Minimizer):
    """A population that is selected, crossed and mutated.

        parents: the best of `tournament` drawn at random, twice
        child:   each weight from one parent or the other, evenly
        mutation: w ← w + mutation_scale · N(0, 1), with probability mutation_rate

    The `elite` best survive unchanged, so the best never gets worse. The first
    population is the start and guesses around it. Weights are real numbers, not bits:
    Montana and Davis (1989), "Training feedforward neural networks using genetic
    algorithms"; tournaments: Goldberg and Deb (1991); uniform crossover: Syswerda
    (1989); Holland (1975). Keeps population · n numbers.

    Args:
        population: members, evaluated once each.
        scale: standard deviation of the first guesses, in units of x.
        mutation_rate: probability, in [0, 1], for each weight of each child.
        mutation_scale: standard deviation of a mutation, in units of x.
        tournament: members that compete to be a parent.
        elite: members that survive, fewer than the population.
        seed: of all random numbers.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        population: int = 50,
        scale: float = 1.0,
        mutation_rate: float = 0.1,
        mutation_scale: float = 0.3,
        tournament: int = 3,
        elite: int = 2,
        seed: int = 0,
    ):
        name = "GeneticAlgorithm"
        self.population = check_whole(name, "population", population, 2)
        self.scale = positive(name, "scale", scale)
        self.mutation_rate = check_number(
            name, mutation_rate, "0 <= mutation_rate <= 1", lambda v: 0.0 <= v <= 1.0
        )
        self.mutation_scale = positive(name, "mutation_scale", mutation_scale)
        self.tournament = check_whole(name, "tournament", tournament, 1, population)
        self.elite = check_whole(name, "elite", elite, 1, population - 1)
        self.seed = check_whole("", "seed", seed, 0)

    def iterate(self, objective: Objective, start: NDArray) -> Iterator[Iterate]:
        """The start, then the best of each generation."""
        rng = generator(self.seed, SEARCH)
        value = objective.value(start)
        check_begun("GeneticAlgorithm", value)
        yield Iterate(start, value)
        guesses = rng.standard_normal((self.population - 1, len(start)))
        members = np.concatenate([start[None], start + self.scale * guesses])
        values = np.array([value, *map(objective.value, members[1:])])
        while True:
            members, values = _sorted(members, values)
            yield Iterate(members[0].copy(), float(values[0]))
            children = self._children(rng, members)
            found = np.array([objective.value(child) for child in children])
            members = np.concatenate([members[: self.elite], children])
            values = np.concatenate([values[: self.elite], found])

    def _children(self, rng: np.random.Generator, members: NDArray) -> NDArray:
        """The next generation without its elite, from members sorted by value."""
        count, n = self.population - self.elite, members.shape[1]
        # Sorted members: the best of a tournament is its smallest place.
        drawn = rng.integers(self.population, size=(2, count, self.tournament))
        mother, father = members[drawn.min(axis=-1)]
        children = np.where(rng.random((count, n)) < 0.5, mother, father)
        mutated = rng.random((count, n)) < self.mutation_rate
        moves = self.mutation_scale * rng.standard_normal((count, n))
        return np.asarray(children + mutated * moves)


def _sorted(members: NDArray, values: NDArray) -> tuple[NDArray, NDArray]:
    """Best first; NaN comes last."""
    order = np.argsort(values, kind="stable")
    return members[order], values[order]
