"""When a program is worth compiling."""

import time
from collections.abc import Callable

from xpnet.backend import Backend, DeviceError
from xpnet.common.console import warn
from xpnet.common.install import install
from xpnet.compiler import c as native
from xpnet.compiler import tuning
from xpnet.compiler.drivers import driver_of
from xpnet.compiler.program import Program

INSTALL = install("jit")
NEEDED = (
    "jit=True needs a C compiler: cc, gcc or clang, what CC names, or the one in the "
    f"package ziglang ({INSTALL})"
)


def can_compile() -> bool:
    """Whether programs on the CPU can become machine code here."""
    return native.available()


def how_compiled() -> str:
    """What becomes of programs on the CPU, in words."""
    if not native.welcome():
        return "NumPy calls, since XPNET_JIT=0"
    found = native.compiler()
    if native.available() and found is not None:
        return f"in C, compiled by {found.name} once they repay it"
    return f"NumPy calls; faster with a C compiler ({INSTALL})"


class JitProgram:
    """A recorded program, recompiled once it has run for long enough.

    Compiling at once would make short trainings slower. So a program starts as NumPy
    calls, unless its library exists already. After some time a C compiler is started in
    the background; when the library exists, the program continues in C. Without a C
    compiler it stays NumPy calls. The results are bit-identical.

    Args:
        record: (loops, wait) -> the program, with loops or without.
        backend: loops are for the host, kernels for a device with a driver.
        first: the first segment of a step; programs are exchanged only there.
        jit: True compiles at once, False never, None after some time. Kernels are
            compiled at once, unless it is False.

    Raises:
        ImportError: jit=True without a C compiler.
        BuildError: jit=True, and no folder where the compiler can work.
    """

    def __init__(
        self,
        record: Callable[..., Program],
        backend: Backend,
        first: str,
        jit: bool | None,
    ) -> None:
        device = driver_of(backend) is not None
        if jit and not device and not can_compile():
            raise ImportError(NEEDED)
        self._record, self._first = record, first
        host = backend.is_host and not device
        unasked = jit is None and host and native.welcome()
        self._build: native.Build | None = None  # awaited
        self._left = 1
        self.compiled = jit is not False if device else bool(jit) and backend.is_host
        if unasked and native.available():
            self.program = self._loaded()
        else:
            self.program = self._begun(bool(jit))

    def _loaded(self) -> Program:
        """In C if the library exists, as NumPy calls until then."""
        try:
            program = self._record(True, False)
        except native.NotCompiledError as missing:
            self._build = missing.build
            self._ready(0.0)
            return self._record(False)
        except native.BuildError as error:
            self._give_up(error)
            return self._record(False)
        self.compiled = True
        return program

    def _begun(self, asked: bool) -> Program:
        try:
            return self._record(self.compiled)
        except native.BuildError as error:
            native.refuse(error)
            if isinstance(error, native.FolderError):
                raise
            raise ImportError(f"{NEEDED}; the compiler says: {error}") from error
        except DeviceError as error:
            if asked:
                raise
            message = f"{error}; CuPy's own kernels go on"
            warn(message, RuntimeWarning, stacklevel=3)
            self.compiled = False
            return self._record(False)

    def run(self, segment: str) -> None:
        """Replay `segment`."""
        if self._build is not None and segment == self._first:
            self._left -= 1
            if self._left == 0:
                self._consider(segment)
                return
        self.program.run(segment)

    def add_runtime(self, seconds: float) -> None:
        """Count `seconds` of replays that were run from `program` itself."""
        self._left = 1
        if self._ready(seconds):
            self._compile()

    def _ready(self, seconds: float) -> bool:
        """Whether the library exists, after `seconds` more without it."""
        if self._build is None:
            return False
        if not native.available():  # another program's text was refused
            self._build = None
            return False
        try:
            self._build.want(seconds)
        except native.BuildError as error:
            self._give_up(error)
            return False
        return self._build.done

    def _give_up(self, error: native.BuildError) -> None:
        """Continue with NumPy calls, and compile no more."""
        native.refuse(error)
        self._build = None
        self._warn(error)

    def expect_runtime(self, seconds: float) -> None:
        """Compile, or start to, if `seconds` of replays to come repay it."""
        if seconds > tuning.COMPILE_AFTER_S:
            self.add_runtime(seconds)

    def _compile(self) -> None:
        self._build = None
        try:
            self.program = self._record(True)
            self.compiled = True
        except native.BuildError as error:
            self._give_up(error)
        except MemoryError as error:  # for its buffers; the calls have theirs
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        line = next(iter(str(error).strip().splitlines()), "no reason given")
        warn(
            f"loops were not compiled ({type(error).__name__}: {line}); the NumPy "
            "calls go on, jit=False keeps this from being tried",
            RuntimeWarning,
            stacklevel=4,
        )

    def _consider(self, segment: str) -> None:
        self.add_runtime(0.0)
        began = time.perf_counter()
        self.program.run(segment)
        took = time.perf_counter() - began
        replays = int(tuning.TIMING_INTERVAL_S / max(took, 1e-9))
        self._left = max(1, min(tuning.MAX_UNTIMED_REPLAYS, replays))
        self._ready(self._left * took)
