"""Parsers whose errors fit on two lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NoReturn

from jsonargparse import ArgumentParser

from georanker.config_error import explain
from georanker.types import GeorankerError


class ShortErrors(ArgumentParser):
    """A parser that raises one short GeorankerError where others print the usage of 60 options."""

    command_line: ClassVar[Sequence[str]] = ()
    """What is being parsed, whose config files are searched for the mistake."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Explain a mistake; parsers inside a parser keep the full message for the outer one."""
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        options = [action.dest for action in parser._actions]
        raise GeorankerError(explain(message, ShortErrors.command_line, options)) from None
