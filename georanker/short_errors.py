"""Parsers whose errors fit on two lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NoReturn

from jsonargparse import ArgumentParser, Namespace

from georanker.config_error import broken_file, explain
from georanker.types import GeorankerError


class ShortErrors(ArgumentParser):
    """A parser that raises one short GeorankerError where others print the usage of 60 options."""

    command_line: ClassVar[Sequence[str]] = ()
    """What is being parsed, whose config files are searched for the mistake."""

    def parse(self, args: Sequence[str]) -> Namespace:
        """Parse a command line.

        Raises:
            GeorankerError: it, or a config file that it names, is not as it must be.
        """
        ShortErrors.command_line = args
        try:
            return self.parse_args(list(args))
        except UnicodeDecodeError as error:
            raise GeorankerError(broken_file(args) or str(error)) from error

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Explain a mistake; parsers inside a parser keep the full message for the outer one."""
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        options = [action.dest for action in parser._actions]
        raise GeorankerError(explain(message, ShortErrors.command_line, options)) from None
