"""LightningCLI's parser."""

from __future__ import annotations

from lightning.pytorch.cli import LightningArgumentParser

from georanker.short_errors import ShortErrors


class TrainerParser(ShortErrors, LightningArgumentParser):
    """LightningCLI's parser with short errors."""
