"""The config files of a command line, and where each word of them stands."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

from georanker.config_word import Word


class ConfigFiles:
    """Reads the YAML files that a command line names, and those that they point to.

    Args:
        args: the command line, whose paths are relative to the working folder of now.
    """

    def __init__(self, args: Sequence[str]) -> None:
        self._args, self._folder = tuple(args), Path.cwd()
        self.paths: list[Path] = []
        """The files, absolute."""
        self.words: list[Word] = []
        """All that stands in them, in that order."""
        self.fault = ""
        """What is wrong with the first file that is not YAML, or empty; "" if none is."""
        waiting = []
        for before, arg in zip(("", *args), args, strict=False):
            flag, _, value = arg.rpartition("=") if arg.startswith("--") else (before, "", arg)
            keys = flag.strip("-+")
            waiting.append((self._folder / value, () if keys in ("", "config") else tuple(keys.split("."))))
        while waiting:
            path, above = waiting.pop(0)
            path = Path(os.path.normpath(path))
            if path.suffix in (".yaml", ".yml") and path.is_file() and path not in self.paths:
                self.paths.append(path)
                words = list(self._read(path, above))
                self.words += words
                waiting += [(path.parent / word.text, word.keys) for word in words if not word.is_key]

    def _read(self, path: Path, above: tuple[str, ...]) -> Iterator[Word]:
        import yaml

        fault = ""
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
            if node is not None:
                yield from _words(node, path, above, set())
            else:
                fault = f"{self.shown(path)}: is empty"
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            fault = f"{self.shown(path)}{f', line {mark.line + 1}' if mark else ''}: not valid YAML ({error.problem})"
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            fault = f"{self.shown(path)}: not valid YAML ({str(error).splitlines()[0]})"
        self.fault = self.fault or fault

    def shown(self, path: Path) -> str:
        """Return a path as people write it, from the working folder if it lies there."""
        return str(path.relative_to(self._folder) if path.is_relative_to(self._folder) else path)

    def place(self, text: str, key: str = "") -> str:
        """Say where a word stands: "FILE, line N: ", or "command line: " if in no file.

        Args:
            text: a key or a value.
            key: the key of a value, or one above: of several such words the one below it is meant.
        """
        last = key.rpartition(".")[2]
        found = [word for word in self.words if word.text == text]
        if not found and not any(arg.rpartition("=")[2] == text for arg in self._args):
            found = [word for word in self.words if word.is_key and word.text == last]  # of a value that is a list
        found.sort(key=lambda word: last not in word.keys)
        return f"{self.shown(found[0].file)}, line {found[0].line}: " if found else "command line: "

    def missing(self, pointer: str) -> str:
        """Say in two lines which file points to one that is not there, and which one may be meant."""
        word = next((word for word in self.words if word.text == pointer and not word.is_key), None)
        pointer = self.shown(Path(pointer))
        where = f"{self.shown(word.file)}, line {word.line}" if word else "command line"
        wanted = Path(os.path.normpath((word.file.parent if word else self._folder) / pointer))
        there = sorted(path.name for path in wanted.parent.glob("*.y*ml"))
        close = difflib.get_close_matches(wanted.name, there, 1)
        hint = f"did you mean {str(Path(pointer).with_name(close[0]))!r}?" if close else f"{', '.join(there[:12])}"
        return f"{where}: {pointer!r} is not there\n  {hint or f'no YAML lies in {self.shown(wanted.parent)}'}"


def _words(node: yaml.Node, path: Path, keys: tuple[str, ...], seen: set[int]) -> Iterator[Word]:
    """Yield the words of a node in their order; what an alias repeats only once."""
    import yaml

    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield Word(node.value, path, node.start_mark.line + 1, keys, is_key=False)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _words(item, path, keys, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield Word(key.value, path, key.start_mark.line + 1, keys, is_key=True)
                yield from _words(value, path, (*keys, key.value), seen)
