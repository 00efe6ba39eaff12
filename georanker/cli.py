"""The command line: Lightning's commands on YAML configs, and our own verbs beside them."""

from __future__ import annotations

import difflib
import importlib
import inspect
import io
import logging
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import georanker
import georanker.verbs
from georanker.types import GeorankerError

if TYPE_CHECKING:
    from lightning.pytorch.cli import LightningCLI

TRAINER_COMMANDS = {
    "fit": "Train a retriever or a ranker.",
    "validate": "Measure a checkpoint on the split val.",
    "test": "Measure a checkpoint on the split test.",
    "predict": "Answer for each photo of the split test, and write the answers.",
}


def main(args: Sequence[str] | None = None) -> None:
    """Run a command of georanker; a user's mistake becomes one line on standard error."""
    args = list(sys.argv[1:] if args is None else args)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # bars and names of places in a terminal that knows ASCII alone
    command = args[0] if args else "--help"
    verbs = _verbs()
    if "." not in sys.path:
        sys.path.append(".")  # a console script does not see the working folder, where the user's own classes are
    try:
        if command in TRAINER_COMMANDS:
            run_trainer(args)
        elif command in verbs:
            _run_verb(verbs[command], args[1:])
        elif command in ("-h", "--help"):
            print(_overview(verbs))
        elif command == "--version":
            print(f"georanker {georanker.__version__}")
        else:
            names = [*TRAINER_COMMANDS, *verbs]
            raise GeorankerError(f"there is no command {command!r}{_nearest(command, names)}; see `georanker --help`")
    except (GeorankerError, KeyboardInterrupt) as error:
        print(f"georanker: {_one_line(error)}", file=sys.stderr)
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)


def run_trainer(args: Sequence[str], run: bool = True) -> LightningCLI:
    """Run fit, validate, test or predict, and return what was built for it.

    Args:
        args: the command line; without the command if `run` is off.
        run: False only builds the parts.
    """
    from georanker.trainer_cli import TrainerCLI

    # Lightning asks for more workers than two cores can feed, and for devices that a config leaves out on purpose.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".* available but not used.*")
    # An empty split val is a choice, and other empty splits are errors of our own.
    warnings.filterwarnings("ignore", "Total length of .* across ranks is zero.*")
    # A checkpoint may come from any run.
    warnings.filterwarnings("ignore", "The dirpath has changed.*")
    # A second training replaces the checkpoint of the first.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty.*")
    # Lightning 2.6 asks torch 2.13 about its pytrees in a way that torch has renamed.
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*", FutureWarning)
    # What Lightning tells in each run: the machine's devices, the seed, an advertisement, and how it saves.
    quiet = ("pytorch.utilities.rank_zero", "fabric.utilities.seed", "pytorch.trainer.connectors.checkpoint_connector")
    for name in quiet:
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)
    return TrainerCLI(list(args), run)


def _run_verb(verb: Callable[..., object], args: Sequence[str]) -> None:
    from argparse import SUPPRESS

    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]  # public, but not marked as exported

    from georanker.config_error import explain
    from georanker.discovery import all_classes
    from georanker.short_errors import ShortErrors

    all_classes()
    name = verb.__name__.replace("_", "-")
    parser = ShortErrors(prog=f"georanker {name}", description=(inspect.getdoc(verb) or "").partition("Args:")[0])
    parser.add_argument("--config", action=ActionConfigFile, help="a YAML with these options")
    options = inspect.signature(verb).parameters
    first = [name for name, option in options.items() if option.kind is option.POSITIONAL_ONLY]
    several = [name for name, option in options.items() if option.kind is option.VAR_POSITIONAL]
    parser.add_function_arguments(verb, as_group=False, as_positional=bool(first), sub_configs=True)
    if "data" in options:  # an experiment, and the config.yaml of a run, say more than a verb asks for
        for part in {"seed_everything", "trainer", "model", "ckpt_path", "weights_only"} - options.keys():
            parser.add_argument(f"--{part}", help=SUPPRESS)
    for name in several:
        parser.add_argument(name, nargs="+", type=str, help=_described(verb, name))
    config = parser.parse(args)
    try:
        built = parser.instantiate(config)
    except ValueError as error:
        raise GeorankerError(explain(str(error), ShortErrors.files, ())) from error
    given = [*(built[name] for name in first), *(each for name in several for each in built[name])]
    verb(*given, **{name: built[name] for name in options if name not in (*first, *several)})


def _described(verb: Callable[..., object], name: str) -> str:
    """Return what a verb's docstring says of an argument, which jsonargparse looks up for options only."""
    found = re.search(rf"^ *{name}: (.*)", inspect.getdoc(verb) or "", re.MULTILINE)
    return found[1] if found else ""


def _verbs() -> dict[str, Callable[..., object]]:
    """Find the verbs: each module of georanker.verbs has a function of its own name."""
    found = {}
    for module in pkgutil.iter_modules(georanker.verbs.__path__):
        verb = getattr(importlib.import_module(f"georanker.verbs.{module.name}"), module.name)
        found[module.name.replace("_", "-")] = verb
    return found


def _overview(verbs: dict[str, Callable[..., object]]) -> str:
    lines = {name: (inspect.getdoc(verb) or "").splitlines()[0] for name, verb in verbs.items()}
    return "\n".join(
        [
            "usage: georanker COMMAND [OPTIONS]",
            "",
            "Where on Earth was this photo taken? Retrieve candidate places, then rank them by how near they are.",
            "",
            "Start here, and steps between training and ranking:",
            *(f"  {name:18}{line}" for name, line in lines.items()),
            "",
            "Train and measure what a YAML describes (--config FILE, then any flag):",
            *(f"  {name:18}{line}" for name, line in TRAINER_COMMANDS.items()),
            "",
            "`georanker COMMAND --help` shows the options of a command.",
        ]
    )


def _nearest(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _one_line(error: BaseException) -> str:
    """Return an error's own line, also where a loader's worker has wrapped it into its traceback."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted"
    return re.split(r"GeorankerError: ", str(error))[-1].strip()
