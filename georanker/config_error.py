"""Says in two lines what is wrong in a config: where it stands, and what was probably meant."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from pydoc import locate

from georanker.discovery import all_classes

_OPTION = re.compile(r"(?:Option|does not accept option|Key) '([^']+)'")
_CLASS_PATH = re.compile(r"class_path '([^']+)'")
_NO_CLASS = re.compile(r"(?:Expected a dot import path string: |Import path |No module named ')([\w.]+)")
_PARSER_KEY = re.compile(r'Parser key "([^"]+)"')
_EXPECTED = re.compile(r"Expected an? (?:<class '|typing\.)?([^\n]+?)(?:'>)?(?:\. Got value: .*)?$", re.MULTILINE)
_REFUSED = re.compile(r"^ +- (?!Expected|Parser key|Problem|Does not validate)(.*)", re.MULTILINE)
_LACKS = re.compile(r"given class_path '([^']+)':\s+the following arguments are required: (.+)")
_GIVEN = re.compile(r"Given value: (.*)")
_GOT = re.compile(r"Got value: (.*)")
_NESTED = re.compile(r"NestedArg\(key='[^']*', val='?(.*?)'?\)$", re.MULTILINE)


def explain(message: str, args: Sequence[str], options: Iterable[str]) -> str:
    """Turn jsonargparse's report into two lines: file, line and key; then the nearest valid name.

    Args:
        message: the report, which may run over dozens of lines.
        args: the command line, whose config files are searched for the place of the mistake.
        options: all that the parser accepts at its top level, such as `trainer.max_epochs`.
    """
    keys = [key for key in _PARSER_KEY.findall(message) if key != "config"]
    if option := _OPTION.search(message):
        owner, names = _names_beside(option[1], message, options)
        return _lines(option[1].split(".")[-1], f"is not an option of {owner}", args, names)
    if unknown := _NO_CLASS.search(message):
        names = sorted(found.__name__ for found in all_classes())
        what = f"is not a class that `{keys[-1]}` can be" if keys else "is not a class"
        return _lines(unknown[1], what, args, names)
    if lacks := _LACKS.search(message):
        lacked = ".".join([*keys[-1:], lacks[2].split(", ")[0]])
        return f"{lacks[1].rpartition('.')[2]} needs {lacks[2]}\n  give it with --{lacked}, or in a YAML"
    if refused := _REFUSED.search(message):
        return refused[1]
    if keys and (given := _GOT.search(message) or _GIVEN.search(_NESTED.sub(r"\1", message))):
        expected = " or ".join(dict.fromkeys(each for each in _EXPECTED.findall(message) if "None" not in each))
        return f"{_place(given[1], args)}{keys[-1]} is {given[1]}\n  expected: {expected}"
    # A file that is not YAML: the reason names no file, so the first one that does not parse is named here.
    return broken_file(args) or " ".join(message.split("\n")[:2])


def _names_beside(option: str, message: str, options: Iterable[str]) -> tuple[str, list[str]]:
    """Return what an unknown option was given to, and the options that this has."""
    before = message[: message.index(option)]
    owners = _CLASS_PATH.findall(before)
    owner = locate(owners[-1]) if owners else None
    if inspect.isclass(owner):
        return owner.__name__, list(inspect.signature(owner).parameters)
    group = option.rpartition(".")[0]
    prefix = f"{group}." if group else ""
    names = [name.removeprefix(prefix) for name in options if name.startswith(prefix)]
    nested = [name for found in all_classes() for name in inspect.signature(found).parameters]
    return group or "this command", names if group else [*names, *nested]


def _lines(name: str, what: str, args: Sequence[str], names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, 1, cutoff=0.5)
    shown = ", ".join(list(dict.fromkeys(names))[:12])
    hint = f"did you mean {close[0]!r}?" if close else f"one of: {shown}"
    return f"{_place(name, args)}{name!r} {what}\n  {hint}"


def broken_file(args: Sequence[str]) -> str:
    """Name the first config file of a command line that is not YAML, and say why; "" if all are."""
    import yaml

    for file in config_files(args):
        try:
            yaml.safe_load(file.read_text(encoding="utf-8"))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            return f"{file}{f', line {mark.line + 1}' if mark else ''}: not valid YAML ({error.problem})"
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            return f"{file}: not valid YAML ({error})"
    return ""


def _place(text: str, args: Sequence[str]) -> str:
    """Find the line of a config file where a key or value stands."""
    word = re.compile(rf"(?<![\w.]){re.escape(text)}(?!\w)")
    for file in config_files(args):
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            if word.search(line.partition("#")[0]):
                return f"{file}, line {number}: "
    return "command line: "


def config_files(args: Sequence[str]) -> Iterator[Path]:
    """Yield the YAML files that the command line names, and those that they point to."""
    waiting = [Path(arg.rpartition("=")[2]) for arg in args]
    seen: set[Path] = set()
    while waiting:
        file = waiting.pop(0)
        if file.suffix in (".yaml", ".yml") and file.is_file() and file not in seen:
            seen.add(file)
            yield file
            pointers = re.findall(r"[\w./-]+\.ya?ml", file.read_text(errors="replace"))
            waiting += [file.parent / pointer for pointer in pointers]
