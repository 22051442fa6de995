"""The commands of `xpnet` and their options; nothing but argparse is imported."""

import argparse
from typing import Any

OPTIMIZERS = "sgd adagrad adadelta rmsprop adam amsgrad adamw adamax nadam radam lion"
ACTIVATIONS = "identity sigmoid tanh relu leaky_relu elu gelu silu softplus softmax"
Commands = Any  # argparse's subparsers, a class without a public name


def add_commands(commands: Commands) -> None:
    """Every command."""
    _add_train(commands)
    _add_doctor(commands)
    _add_search(commands)
    _add_predict(commands)
    _add_compare(commands)
    _add_bench(commands)
    _add_gpu_check(commands)
    _add_gallery(commands)
    info = commands.add_parser("info", help="device, BLAS, threads and versions")
    info.add_argument("--json", action="store_true", help="print one JSON object")
    _add_cache(commands)


def _add_train(commands: Commands) -> None:
    train = commands.add_parser(
        "train",
        help="train a network on a data set",
        description="Train a network on DATA, with a part held out for validation and "
        "another, never trained or chosen on, for the test at the end.",
    )
    _training_options(train)
    together = "train K networks at once and average them"
    train.add_argument("--ensemble", type=int, metavar="K", help=together)
    keep = "keep the state of the training there, every half minute and on SIGTERM"
    train.add_argument("--checkpoint", metavar="DIR", help=keep)
    on = "go on with what --checkpoint has kept there, if there is something"
    train.add_argument("--resume", action="store_true", help=on)


def _add_doctor(commands: Commands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="train, and say what ails the training",
        description="Train as `xpnet train` does, look at each layer on the way, and "
        "say what is wrong and what to try: vanishing or exploding gradients, dead or "
        "saturated units, a learning rate too high or too low, overfitting, unscaled "
        "inputs. Exit status 1 if something was found. --plot draws the layers.",
    )
    _training_options(doctor)


def _data_options(parser: argparse.ArgumentParser) -> None:
    """What is learnt."""
    add = parser.add_argument
    add("data", metavar="DATA", help="digits, xor, ... or a .csv, .npz, IDX file")
    add("--target", metavar="COLUMN", help="what to predict (CSV; default: the last)")
    _task_option(parser)
    scales = ("standard", "minmax", "none")
    add("--scale", choices=scales, help="of the inputs [minmax for images]")
    few = "share held out to test on [0.2; 0 below 20 samples]"
    add("--test", type=float, help=few)


def _task_option(parser: argparse.ArgumentParser) -> None:
    tasks = ("auto", "classification", "regression", "multilabel")
    says = "what the target is; auto: what it looks like, or an error"
    parser.add_argument("--task", default="auto", choices=tasks, help=says)


def _run_options(parser: argparse.ArgumentParser) -> None:
    """Where it runs, and what is kept of it."""
    add = parser.add_argument
    add("--device", default="auto", help="cpu, cuda, cuda:1 or auto [%(default)s]")
    dtypes = ("float32", "float64")
    add("--dtype", default="float32", choices=dtypes, help="[%(default)s]")
    add("--seed", type=int, default=0, help="of everything random [%(default)s]")
    add("--save", metavar="DIR", help="keep the model there, for predict")
    add("--plot", metavar="FILE", help="draw what was learnt (needs matplotlib)")
    add("--json", action="store_true", help="print one JSON object")


def _training_options(parser: argparse.ArgumentParser) -> None:
    """What `train` and `doctor` take."""
    _data_options(parser)
    add = parser.add_argument
    add("--hidden", default="256,128", help="widths, 256,128 or none [%(default)s]")
    add("--activation", default="relu", help=f"{ACTIVATIONS} [%(default)s]")
    add("--dropout", type=float, help="share dropped [0.3 for classes, else 0]")
    add("--optimizer", default="adam", help=f"{OPTIMIZERS} [%(default)s]")
    add("--learning-rate", type=float, help="at the start [0.002; sgd 0.1, ...]")
    schedules = ("cosine", "constant")
    add("--schedule", default="cosine", choices=schedules, help="of the learning rate")
    add("--label-smoothing", type=float, default=0.0, help="for classes [%(default)s]")
    add("--l2", type=float, default=0.0, help="penalty on weights [%(default)s]")
    add("--epochs", type=int, default=60, help="passes over the data [%(default)s]")
    add("--batch-size", type=int, default=32, help="samples a step [%(default)s]")
    add("--patience", type=int, help="stop after this many epochs without progress")
    few = "share held out to choose on [0.2; 0 below 20 samples]"
    add("--validation", type=float, help=few)
    _run_options(parser)


def _add_search(commands: Commands) -> None:
    search = commands.add_parser(
        "search",
        help="try settings on folds, many networks at once",
        description="Try every combination of settings on every fold of DATA, those of "
        "one shape as one program; the best is trained on all of it and tested on a "
        "part that nothing was chosen on. Settings: hidden (widths 128,64; "
        "alternatives 64;128,64), activation, dropout, optimizer, learning_rate, "
        "schedule, label_smoothing, l1, l2, weight_decay, momentum, clip_norm, epochs, "
        "batch_size.",
    )
    _data_options(search)
    add = search.add_argument
    grid = '"learning_rate=1e-3,3e-3 l2=0,1e-4"; with --random also a..b'
    add("--grid", required=True, metavar="SETTINGS", help=grid)
    how = search.add_mutually_exclusive_group().add_argument
    how("--random", type=int, metavar="N", help="draw N settings instead of all")
    how("--halving", type=int, metavar="N", help="N for few epochs, the best for more")
    add("--folds", type=int, default=5, help="[%(default)s]")
    add("--repeats", type=int, default=1, help="of all folds [%(default)s]")
    add("--epochs", type=int, default=30, help="passes over the data [%(default)s]")
    add("--batch-size", type=int, default=32, help="samples a step [%(default)s]")
    add("--monitor", help="score that decides, such as loss [accuracy; r2]")
    add("--file", metavar="FILE", help="keep finished networks there; go on with them")
    _run_options(search)


def _add_predict(commands: Commands) -> None:
    predict = commands.add_parser(
        "predict",
        help="predictions of a saved model",
        description="Print CSV, a prediction a line, for the samples in FILE. Control "
        "characters in labels become backslash escapes, and a label that a spreadsheet "
        "would take for a formula (=, +, -, @) gets an apostrophe before it; --json "
        "has the labels as they are.",
    )
    add = predict.add_argument
    add("model", metavar="DIR", help="what `xpnet train --save DIR` wrote")
    add("data", metavar="FILE", help="samples: .csv (by column name), .npz, IDX, ...")
    every = "print the probability of every class"
    add("--probabilities", action="store_true", help=every)
    add("--device", default="auto", help="cpu, cuda, cuda:1 or auto [%(default)s]")
    add("--json", action="store_true", help="print one JSON object")


def _add_compare(commands: Commands) -> None:
    compare = commands.add_parser(
        "compare",
        help="two ways to run: do they agree, which is faster",
        description="Train the same network in two ways in lock-step; name the first "
        "tensor that differs by more than rounding explains (exit status 1), and "
        "measure which way is faster from which size.",
    )
    add = compare.add_argument
    way = "cpu, cpu:2 (threads), cuda, cuda:1; then any of "
    way += ",float64 ,eager ,jit ,nojit [%(default)s]"
    add("a", metavar="A", nargs="?", default="cpu", help=way)
    add("b", metavar="B", nargs="?", default="cuda", help="likewise [%(default)s]")
    add("--data", default="digits", help="as for train [%(default)s]")
    _task_option(compare)
    add("--hidden", default="64", help="widths, 256,128 or none [%(default)s]")
    add("--optimizer", default="adam", help=f"{OPTIMIZERS} [%(default)s]")
    add("--batch-size", type=int, default=32, help="samples a step [%(default)s]")
    add("--steps", type=int, default=200, help="in lock-step [%(default)s]")
    add("--seed", type=int, default=0, help="of everything random [%(default)s]")
    add("--grid", default="16,64,256,1024x8,64,512", help="widths x batches to time")
    add("--no-crossover", action="store_true", help="leave the grid out")
    add("--json", action="store_true", help="print one JSON object")


def _add_bench(commands: Commands) -> None:
    bench = commands.add_parser(
        "bench",
        help="xpnet beside what else is installed",
        description="Time training steps of xpnet and of its rivals, each in a process "
        "of its own, in interleaved rounds; about a minute and a half.",
    )
    add = bench.add_argument
    add("--full", action="store_true", help="all of it, about half an hour")
    add("--parts", help="of race,sweep,cold,accuracy [race]")
    add("--nets", help="by number, 0 (2-3-2) to 4 (2048-2048-2048-2048-10) [0,2,3]")
    add("--rivals", help="such as torch,jax [all but torch_compiled; all with --full]")
    add("--optimizers", help="of sgd,adam [adam; both with --full]")
    add("--threads", help="such as 1 or 1,4 [as many as cores]")
    add("--warm-up", type=float, help="seconds before a rival is timed [2.5; 3]")
    add("--rounds", type=int, help="[5; 9 with --full; sweep 3, cold 7, accuracy 9]")
    add("--seconds", type=float, help="of a rival in a round [0.1; 0.3 with --full]")
    add("--json", metavar="FILE", help="write the record there")
    add("--html", metavar="FILE", help="write a page with tables and plots there")
    add("--from", dest="source", metavar="FILE", help="show a record, measure nothing")


def _add_gpu_check(commands: Commands) -> None:
    check = commands.add_parser(
        "gpu-check",
        help="is the GPU right, and how fast is it",
        description="Compare everything that runs on the first GPU with NumPy, graphs "
        "with their calls, then time it beside what else is installed. Exit status 1 "
        "if a comparison fails.",
    )
    add = check.add_argument
    add("--out", metavar="FILE", help="write the record there, as JSON")
    add("--quick", action="store_true", help="fewer sizes, no rivals")
    add("--minutes", type=float, default=10.0, help="it may take [%(default)g]")


def _add_cache(commands: Commands) -> None:
    cache = commands.add_parser(
        "cache",
        help="the folder of compiled programs: its size; clear it",
        description="Show what is kept between processes: compiled libraries, "
        "programs, measurements. --clear removes all but what `xpnet compare` has "
        "measured.",
    )
    cache.add_argument("--clear", action="store_true", help="remove what is kept")
    cache.add_argument("--json", action="store_true", help="print one JSON object")


def _add_gallery(commands: Commands) -> None:
    gallery = commands.add_parser(
        "gallery",
        help="lessons: a claim, the experiment, its pictures",
        description="Run the lesson NAME: it states a claim, measures it, draws it and "
        "says whether it held (exit status 1 if not). Without NAME, the lessons.",
    )
    gallery.add_argument("name", metavar="NAME", nargs="?", help="line, ... or all")
    add_gallery_options(gallery)


def add_gallery_options(parser: argparse.ArgumentParser) -> None:
    """The options of `xpnet gallery` and of `python examples/NAME.py`."""
    add = parser.add_argument
    add("--out", metavar="DIR", default="xpnet-gallery", help="pictures [%(default)s]")
    add("--json", metavar="FILE", help="write the numbers there")
    add("--data", metavar="DIR", help="MNIST's files, for digits [$XPNET_MNIST]")
    add("--quick", action="store_true", help="smaller experiments, as the tests run")
