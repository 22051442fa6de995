"""The cost of a step's parts on the device: launches, copies, matrix products."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from xpnet.backend import Backend
from xpnet.benchmarks.cases import NETS, Array
from xpnet.benchmarks.gpu.clock import clock_of, measure
from xpnet.benchmarks.gpu.verdicts import (
    SAFETY,
    Check,
    DifferenceError,
    Figures,
    need_driver,
)
from xpnet.compiler import Call, primitives
from xpnet.compiler.cuda.graph import Graph

NOTHING = 'extern "C" __global__ void nothing() {}'
NODES = 100  # of the larger graph
COPIES = {"1 MiB": 1 << 20, "64 MiB": 64 << 20, "1 GiB": 1 << 30}
PRECISIONS = ("float32", "tf32")
# Half a unit in the last place of what is multiplied.
EPSILON = {"float32": 2.0**-23, "tf32": 2.0**-10}
CHECKED_ROWS = 8


# Launches.


def launch_checks(backend: Backend) -> list[Check]:
    """An empty kernel: launched, and as the nodes of a graph."""
    return [
        Check("a kernel launched", partial(time_launch, backend)),
        Check("a node of a graph", partial(time_nodes, backend)),
    ]


def empty_call(backend: Backend) -> Call:
    """A launch of one thread that does nothing."""
    driver = need_driver(backend)
    function = driver.load(NOTHING).function("nothing")
    return driver.launch, (function, (1, 1, 1), (1, 1, 1), ())


def time_launch(backend: Backend) -> Figures:
    """One launch after the other."""
    with backend.active():
        function, arguments = empty_call(backend)
        return measure(clock_of(backend), partial(function, *arguments))


def time_nodes(backend: Backend) -> Figures:
    """A graph of one node and one of many: the cost of a launch, and of a node more."""
    with backend.active():
        call = empty_call(backend)
        call[0](*call[1])  # the first launch of a kernel loads it
        times = []
        for nodes in (1, NODES):
            graph = Graph([call], backend, nodes)
            times.append(measure(clock_of(backend), graph.launch))
    one, many = times
    figures = {f"graph_{key}": value for key, value in one.items()}
    node = (many["gpu_us"] - one["gpu_us"]) / (NODES - 1)
    return {"node_us": node, "nodes": NODES, **figures}


# Copies.


def copy_checks(backend: Backend, largest: int = 1 << 30) -> list[Check]:
    """Copies within the device and from the host, up to `largest` bytes."""
    sizes = {name: size for name, size in COPIES.items() if size <= largest}
    rows = [("copy", time_copy, name) for name in sizes]
    rows += [("upload", time_upload, name) for name in list(sizes)[:2]]
    return [
        Check(f"{what} of {name}", partial(time, backend, sizes[name]))
        for what, time, name in rows
    ]


def time_copy(backend: Backend, nbytes: int) -> Figures:
    """Bytes read and written per second."""
    with backend.active():
        source, target = (backend.zeros((nbytes // 4,), np.float32) for _ in range(2))
        function, arguments = primitives.copy(backend, target, source)
        figures = measure(clock_of(backend), partial(function, *arguments))
    return figures | {"GB_per_s": 2 * nbytes / figures["gpu_us"] / 1e3}


def time_upload(backend: Backend, nbytes: int) -> Figures:
    """Bytes per second from pageable memory of the host."""
    host = np.zeros(nbytes // 4, np.float32)
    with backend.active():
        target = backend.zeros(host.shape, np.float32)
        figures = measure(clock_of(backend), partial(target.set, host))
    return figures | {"GB_per_s": nbytes / figures["wall_us"] / 1e3}


# Products.


@dataclass(frozen=True)
class Product:
    """(m, k) @ (k, n); `transposed` names the operand that is a transposed view."""

    m: int
    k: int
    n: int
    transposed: str = ""

    def __str__(self) -> str:
        turned = {"a": ", a transposed", "b": ", b transposed"}.get(self.transposed, "")
        return f"{self.m}×{self.k} @ {self.k}×{self.n}{turned}"

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.m * self.k * self.n


def products(nets: int = len(NETS)) -> list[Product]:
    """Every product of a step of the first `nets` nets, each once."""
    return list(dict.fromkeys(p for net in NETS[:nets] for p in _of_net(*net)))


def _of_net(sizes: tuple[int, ...], batch: int) -> Iterator[Product]:
    for i, (n, m) in enumerate(pairwise(sizes)):
        yield Product(batch, n, m)  # a W
        yield Product(n, batch, m, "a")  # aᵀ δ
        if i:
            yield Product(batch, m, n, "b")  # δ Wᵀ


def product_checks(backend: Backend, nets: int = len(NETS)) -> list[Check]:
    """Every product × precision."""
    return [
        Check(f"{product}, {precision}", partial(time_product, backend, *row))
        for product in products(nets)
        for precision in PRECISIONS
        for row in [(product, precision)]
    ]


def time_product(backend: Backend, product: Product, precision: str) -> Figures:
    """The time of a product, and its error, which its precision bounds."""
    backend = backend.with_precision(precision)
    rng = np.random.default_rng(3)
    m, k, n = product.m, product.k, product.n
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
    with backend.active():
        left, right = _here(backend, a, b, product.transposed)
        out = backend.zeros((m, n), np.float32)
        function, arguments = primitives.product(backend, left, right, out)
        figures = measure(clock_of(backend), partial(function, *arguments))
        found = backend.to_numpy(out)
    figures["TFLOP_per_s"] = product.operations / figures["gpu_us"] / 1e6
    error, bound = _error(found, a, b, precision)
    figures |= {"error": error, "bound": bound}
    if not error <= bound:
        note = f"off by {error:.2g} where {bound:.2g} is {precision}"
        raise DifferenceError(note, figures)
    return figures


def _here(backend: Backend, a: Array, b: Array, transposed: str) -> tuple[Any, Any]:
    """The operands on the device, in the layout that a step has."""
    left = backend.asarray(a if transposed != "a" else np.ascontiguousarray(a.T))
    right = backend.asarray(b if transposed != "b" else np.ascontiguousarray(b.T))
    return left.T if transposed == "a" else left, (
        right.T if transposed == "b" else right
    )


def _error(found: Array, a: Array, b: Array, precision: str) -> tuple[float, float]:
    """(max error of some rows, 8 √k ε s); the other rows are computed likewise."""
    rows = np.unique(np.linspace(0, len(a) - 1, CHECKED_ROWS).astype(int))
    exact = a[rows].astype(np.float64) @ b.astype(np.float64)
    error = float(np.abs(found[rows] - exact).max())
    size = float(np.abs(exact).max())
    return error, SAFETY * float(np.sqrt(a.shape[1])) * EPSILON[precision] * size
