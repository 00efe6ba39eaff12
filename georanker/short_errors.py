"""Parsers whose errors fit on two lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NoReturn

from jsonargparse import ArgumentParser, Namespace

from georanker.config_error import explain
from georanker.config_files import ConfigFiles
from georanker.types import GeorankerError


class ShortErrors(ArgumentParser):
    """A parser that raises one short GeorankerError where others print the usage of 60 options."""

    files: ClassVar[ConfigFiles] = ConfigFiles(())
    """The config files of what is being parsed, which are searched for the mistake."""

    def parse(self, args: Sequence[str]) -> Namespace:
        """Parse a command line.

        Raises:
            GeorankerError: it, or a config file that it names, is not as it must be.
        """
        ShortErrors.files = ConfigFiles(args)
        if ShortErrors.files.fault:  # told before parsing: an empty file would pass for `null`
            raise GeorankerError(ShortErrors.files.fault)
        return self.parse_args(list(args))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Explain a mistake; parsers inside a parser keep the full message for the outer one."""
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        commands = getattr(parser._subcommands_action, "choices", {}).values()  # --print_config names none of them
        options = [action.dest for each in (parser, *commands) for action in each._actions]
        raise GeorankerError(explain(message, ShortErrors.files, options)) from None
