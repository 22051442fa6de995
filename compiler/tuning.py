"""Numbers that decide how fast a program is, and what each was taken from.

Where nothing is said of a measurement, there was none.

What decides the bits of a result is in the key of a kept program (`c/cache_key.py`).
Limits of hardware, of file formats and of `c/runtime.c` stand where they are obeyed.
"""

# When a program is compiled.

# At most so many replays for each one that is timed, and about so long between two.
MAX_UNTIMED_REPLAYS = 64
TIMING_INTERVAL_S = 0.05
# A program that has run for so long without its library is worth compiling.
COMPILE_AFTER_S = 0.05
COMPILE_TIMEOUT_S = 120.0
# zig compiles its C library first, once per user: 41 s with ziglang 0.17.1 on two busy
# cores, the next program 0.2 s.
FIRST_COMPILE_TIMEOUT_S = 600.0
# The end of Python waits so long for what is nearly done.
EXIT_WAIT_S = 2.0
# Plain data: 2 to 42 KB each, in the files of small networks.
MAX_PROGRAMS_IN_MEMORY = 256

# How much runs in one go.

# Seconds of steps between two looks at Ctrl-C, about.
BLOCK_SECONDS = 0.05
# Seconds of epochs of a stack that are prepared together, and of those that a thread
# takes in a row: at the end of these it looks at Ctrl-C, too.
STACK_BLOCK_SECONDS = 0.25
TURN_SECONDS = 0.01
# Steps of a CUDA graph.
STEPS_PER_GRAPH = 8
# Epochs that are prepared together, and bytes for the orders
# and numbers of one network's, at most.
MAX_EPOCHS_PER_BLOCK = 1024
MAX_PREPARED_BYTES = 1 << 22

# Memory.

# The C library keeps freed memory: where programs of many sizes follow each other,
# several times what they need. Beyond this it is given back.
MAX_FREED_BYTES = 4 << 20
# OpenBLAS was seen to prefetch 44 KB beyond its own rows (see `c/padding.py`).
PADDING_BYTES = 1 << 16
# NumPy calls: six float32 operands of a block fit in a 512 KiB L2 cache.
BLOCK_ELEMENTS = 16384
# Networks that a thread trains together take at most so much of a core's caches.
NETWORK_BLOCK_BYTES = 2 << 20

# Threads.

# float32 multiplications of a step that are worth a thread: some 8 us.
WORK_PER_THREAD = 3 << 17
# Weights of more bytes do not fit a core's cache: BLAS divides their products.
MAX_WEIGHT_BYTES = 1 << 20
# Elements of a loop over no rows of the batch that are worth a part.
ELEMENTS_PER_PART = 1 << 11
# Elements: the first of a part of such a loop is a multiple of this.
PART_GRAIN = 64
# A division or root takes as long as so many simple operations with their memory.
SLOW_UFUNC_COST = 2
# Elements of a loop from which a second thread of Python's repays its start.
MIN_ELEMENTS_FOR_THREADS = 1 << 22
# Sums that lie so close together, in elements, have only padding between them.
MERGE_GAP_ELEMENTS = 16

# CUDA.

MAX_NODES_PER_KERNEL = 200
FLAT_THREADS = 256
ROWS_PER_BLOCK = 4  # where a warp does a row
LONG_ROW_ELEMENTS = 1024  # a block does a row; of fewer where rows are few
COLUMNS_PER_BLOCK = (8, 16, 32)
MULTIPROCESSORS = 132  # to be filled, of an H100 or H200
DOT_ELEMENTS_PER_BLOCK = 1024
MAX_DOT_PARTS = 256
CUBLAS_WORKSPACE_BYTES = 32 << 20
