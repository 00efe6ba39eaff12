"""Says in two lines what is wrong in a config: where it stands, and what was probably meant."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pydoc import locate
from typing import get_args, get_type_hints

from georanker.config_files import ConfigFiles
from georanker.discovery import all_classes

_OPTION = re.compile(r"(?:Option|does not accept option|Key) '([^']+)'")
_GROUP = re.compile(r"Group '([^']+)' does not accept")
_OWNER = re.compile(r"class_path '([^']+)'")
_CALLED = re.compile(r"Got value: Namespace\(class_path='([^']+)'")
_NO_FILE = re.compile(r"Expected a path but (\S+\.ya?ml) either not accessible|File does not exist: '(.+)'")
_NO_CLASS = re.compile(r"(?:Expected a dot import path string: |Import path )([\w.]+)")
_NO_MODULE = re.compile(r"class_path '([^']+)':\s+No module named")
_NO_NAMES = re.compile(r"class_path '(?:[^']*\.)?([^'.]+)':\s+'\w+' object has no attribute 'keys'")
_LOOP = re.compile(r"Config file loop detected: (\S+)")
_PARSER_KEY = re.compile(r'Parser key "([^"]+)"')
_SUBTYPES = re.compile(r"Subtypes: \[<class '([^']+)'>")
_EXPECTED = re.compile(r"Expected an? (?:<class '|typing\.)?([^\n]+?)(?:'>)?(?:\. Got value: .*)?$", re.MULTILINE)
_REFUSED = re.compile(r"^ +- (?!Expected|Parser key|Problem|Does not validate)(.*)", re.MULTILINE)
_LACKS = re.compile(r"given class_path '([^']+)':\s+the following arguments are required: (.+)")
_GIVEN = re.compile(r"Given value: (.*)")
_GOT = re.compile(r"Got value: (.*)")
_NESTED = re.compile(r"NestedArg\(key='[^']*', val='?(.*?)'?\)$", re.MULTILINE)


def explain(message: str, files: ConfigFiles, options: Iterable[str]) -> str:
    """Turn jsonargparse's report into two lines: file, line and key; then the nearest valid name.

    Args:
        message: the report, which may run over dozens of lines.
        files: the config files of the command line, where the place of the mistake is looked up.
        options: all that the parser accepts at its top level, such as `trainer.max_epochs`.
    """
    keys = ["", *(key for key in _PARSER_KEY.findall(message) if key != "config")]
    if option := _OPTION.search(message):
        owner, names = _names_beside(option[1], message, options)
        name = option[1].rpartition(".")[2]
        return f"{files.place(name, keys[-1])}{name!r} is not an option of {owner}\n  {_hint(name, names)}"
    if loop := _LOOP.search(message):
        return f"{loop[1]} is not what `{keys[-1]}` can be, but a file that holds it\n  give it as --config {loop[1]}"
    if missing := _NO_FILE.search(message):
        return files.missing(missing[1] or missing[2])
    if unknown := _NO_MODULE.search(message) or _NO_CLASS.search(message):
        names = [found.__name__ for found in _wanted(message) if found.__name__ != unknown[1]]
        what = f"is not a class that `{keys[-1]}` can be" if keys[-1] else "is not a class"
        return f"{files.place(unknown[1], keys[-1])}{unknown[1]!r} {what}\n  {_hint(unknown[1], sorted(names))}"
    if lacks := _LACKS.search(message):
        lacked = ".".join([key for key in keys[-1:] if key] + [lacks[2].split(", ")[0]])
        return f"{lacks[1].rpartition('.')[2]} needs {lacks[2]}\n  give it with --{lacked}, or in a YAML"
    if unnamed := _NO_NAMES.search(message):
        return f"{files.place('init_args', keys[-1])}init_args of {unnamed[1]}\n  expected: a name and a value a line"
    if refused := _REFUSED.search(message):
        return refused[1]
    if keys[-1] and (given := _GOT.search(message) or _GIVEN.search(_NESTED.sub(r"\1", message))):
        expected = " or ".join(dict.fromkeys(each for each in _EXPECTED.findall(message) if "None" not in each))
        return f"{files.place(given[1], keys[-1])}{keys[-1]} is {given[1]}\n  expected: {expected}"
    return " ".join(message.split("\n")[:2])


def _names_beside(option: str, message: str, options: Iterable[str]) -> tuple[str, list[str]]:
    """Return what an unknown option was given to, and the options that this has."""
    called = _CALLED.search(message, message.index(option))
    owners = [called[1]] if called else _OWNER.findall(message[: message.index(option)])
    owner = locate(owners[-1]) if owners else None
    if inspect.isclass(owner):
        return owner.__name__, list(inspect.signature(owner).parameters)
    named = _GROUP.search(message)
    group = named[1] if named else option.rpartition(".")[0]
    prefix = f"{group}." if group else ""
    names = [name.removeprefix(prefix) for name in options if name.startswith(prefix)]
    nested = [name for found in all_classes() for name in inspect.signature(found).parameters]
    return group or "this command", names if group else [*names, *nested]


def _wanted(message: str) -> list[type]:
    """Return the classes that the innermost key of a report may name; all if the report does not tell."""
    before, _, after = message.rpartition('Parser key "')
    named = [locate(name) for name in _SUBTYPES.findall(after)[:1]]
    owners = _OWNER.findall(before)
    if not named and owners:  # a report names only the types of a key that has several
        with suppress(AttributeError, KeyError, NameError):  # a hint may name what is imported for type checking only
            hint = get_type_hints(locate(owners[-1]).__init__)[after.partition('"')[0]]  # type: ignore[misc]
            named = [hint, *get_args(hint)]
    bases = tuple(each for each in named if inspect.isclass(each))
    return [
        found for found in all_classes() if issubclass(found, bases) and not inspect.isabstract(found)
    ] or all_classes()


def _hint(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, 1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(list(dict.fromkeys(names))[:12])}"
