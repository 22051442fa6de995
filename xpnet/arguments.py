"""The commands of `xpnet` and their options; imports only argparse."""

import argparse
import sys
from typing import Any, NoReturn

from xpnet.names import names_of

USAGE_ERROR = 2  # exit status

OPTIMIZERS = " ".join(names_of("optim/kinds.py")).lower()
ACTIVATIONS = "identity sigmoid tanh relu leaky_relu elu gelu silu softplus softmax"
Commands = Any  # argparse's subparsers, a class without a public name


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, like every other error of the command line.

    Attributes:
        commands: the parsers of the commands, by name.
    """

    commands: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["allow_abbrev"] = False
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Print `message` and end with status 2."""
        self.exit(USAGE_ERROR, f"xpnet: error: {message}; see `{self.prog} --help`\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help or an error; a stream that cannot be written is no error."""
        stream = sys.stderr if file is None else file
        try:
            stream.write(message)
        except UnicodeEncodeError:
            stream.write(message.encode("ascii", "backslashreplace").decode())
        except Exception:  # None, closed, full
            pass


def add_commands(commands: Commands) -> None:
    """Add the parser of every command."""
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
    together = "train K networks at once and average their outputs"
    train.add_argument("--ensemble", type=int, metavar="K", help=together)
    keep = "save the training there every half minute and on SIGTERM"
    train.add_argument("--checkpoint", metavar="DIR", help=keep)
    on = "continue from what --checkpoint has saved, if there is any"
    train.add_argument("--resume", action="store_true", help=on)


def _add_doctor(commands: Commands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="train, and report likely problems",
        description="Train as `xpnet train` does, measure each layer meanwhile, and "
        "report problems and remedies: vanishing or exploding gradients, dead or "
        "saturated units, a learning rate too high or too low, overfitting, unscaled "
        "inputs. Exit status 1 if there is a problem. --plot draws the layers.",
    )
    _training_options(doctor)


def _data_options(parser: argparse.ArgumentParser) -> None:
    """The data, its target and its parts."""
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
    says = "kind of the target; auto: inferred, or an error if unclear"
    parser.add_argument("--task", default="auto", choices=tasks, help=says)


def _run_options(parser: argparse.ArgumentParser) -> None:
    """The device, the number format, and the files to write."""
    add = parser.add_argument
    add("--device", default="auto", help="cpu, cuda, cuda:1 or auto [%(default)s]")
    dtypes = ("float32", "float64")
    add("--dtype", default="float32", choices=dtypes, help="[%(default)s]")
    add("--seed", type=int, default=0, help="of all random numbers [%(default)s]")
    add("--save", metavar="DIR", help="save the model there, for predict")
    add("--plot", metavar="FILE", help="draw the curves (needs matplotlib)")
    add("--json", action="store_true", help="print one JSON object")


def _training_options(parser: argparse.ArgumentParser) -> None:
    """The options of `train` and `doctor`."""
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
    add(
        "--patience", type=int, help="stop after N epochs without progress", metavar="N"
    )
    few = "share held out for validation [0.2; 0 below 20 samples]"
    add("--validation", type=float, help=few)
    _run_options(parser)


def _add_search(commands: Commands) -> None:
    search = commands.add_parser(
        "search",
        help="try settings on folds, many networks at once",
        description="Try every combination of settings on every fold of DATA; networks "
        "of one shape train as one program. The best setting is trained on all folds "
        "and tested on a part that was held out. Settings: hidden (widths 128,64; "
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
    how(
        "--halving",
        type=int,
        metavar="N",
        help="N for few epochs, then the best for more",
    )
    add("--folds", type=int, default=5, help="[%(default)s]")
    add("--repeats", type=int, default=1, help="of all folds [%(default)s]")
    add("--epochs", type=int, default=30, help="passes over the data [%(default)s]")
    add("--batch-size", type=int, default=32, help="samples a step [%(default)s]")
    add("--monitor", help="score to rank by, such as loss [accuracy; r2]")
    add("--file", metavar="FILE", help="store finished networks there, and reuse them")
    _run_options(search)


def _add_predict(commands: Commands) -> None:
    predict = commands.add_parser(
        "predict",
        help="predictions of a saved model",
        description="Print CSV, one prediction per line, for the samples in FILE. "
        "Control characters in labels become backslash escapes, and a label that a "
        "spreadsheet would read as a formula (=, +, -, @) gets an apostrophe before "
        "it; --json prints labels unchanged.",
    )
    add = predict.add_argument
    add("model", metavar="DIR", help="the folder that `xpnet train --save DIR` wrote")
    add("data", metavar="FILE", help="samples: .csv (by column name), .npz, IDX, ...")
    every = "print the probability of every class"
    add("--probabilities", action="store_true", help=every)
    add("--device", default="auto", help="cpu, cuda, cuda:1 or auto [%(default)s]")
    add("--json", action="store_true", help="print one JSON object")


def _add_compare(commands: Commands) -> None:
    compare = commands.add_parser(
        "compare",
        help="do two ways to run agree, and which is faster",
        description="Train the same network in two ways in lock-step. Report the first "
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
    add("--seed", type=int, default=0, help="of all random numbers [%(default)s]")
    add("--grid", default="16,64,256,1024x8,64,512", help="widths x batches to time")
    add("--no-crossover", action="store_true", help="do not time the grid")
    add("--json", action="store_true", help="print one JSON object")


def _add_bench(commands: Commands) -> None:
    bench = commands.add_parser(
        "bench",
        help="time xpnet and other installed libraries",
        description="Time training steps of xpnet and of its rivals in interleaved "
        "rounds, each in its own process; takes about a minute and a half.",
    )
    add = bench.add_argument
    add("--full", action="store_true", help="all parts, about half an hour")
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
    add("--from", dest="source", metavar="FILE", help="show a record without measuring")


def _add_gpu_check(commands: Commands) -> None:
    check = commands.add_parser(
        "gpu-check",
        help="are results on the GPU right, and how fast is it",
        description="Compare everything that runs on the first GPU with NumPy, and "
        "graphs with their calls, then time xpnet and other installed libraries. Exit "
        "status 1 if a comparison fails.",
    )
    add = check.add_argument
    add("--out", metavar="FILE", help="write the record there, as JSON")
    add("--quick", action="store_true", help="fewer sizes, no rivals")
    add("--minutes", type=float, default=10.0, help="time limit [%(default)g]")


def _add_cache(commands: Commands) -> None:
    cache = commands.add_parser(
        "cache",
        help="show the size of the cache folder, or clear it",
        description="Show what processes share: compiled libraries, programs, "
        "measurements. --clear removes all but the measurements of `xpnet compare`.",
    )
    cache.add_argument("--clear", action="store_true", help="clear the folder")
    cache.add_argument("--json", action="store_true", help="print one JSON object")


def _add_gallery(commands: Commands) -> None:
    gallery = commands.add_parser(
        "gallery",
        help="lessons: a claim, the experiment, its pictures",
        description="Run the lesson NAME: it states a claim, measures it, draws it and "
        "checks it (exit status 1 if it fails). Without NAME, list the lessons.",
    )
    gallery.add_argument("name", metavar="NAME", nargs="?", help="line, ... or all")
    add_gallery_options(gallery)


def add_gallery_options(parser: argparse.ArgumentParser) -> None:
    """The options of `xpnet gallery` and of `python lessons/NAME.py`."""
    add = parser.add_argument
    add("--out", metavar="DIR", default="xpnet-gallery", help="pictures [%(default)s]")
    add("--json", metavar="FILE", help="write the numbers there")
    add("--data", metavar="DIR", help="MNIST's files, for digits [$XPNET_MNIST]")
    add("--quick", action="store_true", help="smaller experiments, as the tests run")
