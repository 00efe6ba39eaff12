"""LightningCLI with nested config files, the contract between model and data, and errors of two lines."""

from __future__ import annotations

import logging
import pickle
import textwrap
import traceback
from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.trainer.states import TrainerStatus

import georanker
from georanker.config_error import explain
from georanker.data.base import GeoDataModule
from georanker.discovery import all_classes
from georanker.recorded import quiet_building
from georanker.short_errors import ShortErrors
from georanker.trainer_parser import TrainerParser
from georanker.types import GeorankerError


class TrainerCLI(LightningCLI):
    """Builds trainer, model and data from YAML, and runs one of Lightning's commands.

    Args:
        args: the command line, without the program's name.
        run: whether the command line starts with a command to run; without one the parts are only built.
    """

    def __init__(self, args: Sequence[str], run: bool = True) -> None:
        all_classes()
        super().__init__(
            L.LightningModule,
            GeoDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_class=TrainerParser,
            parser_kwargs={"prog": "georanker", "version": georanker.__version__},
            save_config_kwargs={"overwrite": True},
            args=list(args),
            run=run,
        )

    def before_instantiate_classes(self) -> None:
        """Leave `config.yaml` to what was trained; each other command writes one beside it, as `test_config.yaml`."""
        if self.subcommand not in (None, "fit"):
            self.save_config_kwargs["config_filename"] = f"{self.subcommand}_config.yaml"

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Hand the model's collator to the data."""
        parser.link_arguments("model.collator", "data.init_args.collator", apply_on="instantiate")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults({"weights_only": True})  # a checkpoint is data, and data runs no code
        if subcommand == "predict":
            parser.set_defaults({"return_predictions": False})  # a writer streams them; a list would fill the memory
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the command line; Lightning's own method warns when a program gives it one."""
        assert isinstance(parser, TrainerParser)
        assert isinstance(args, list)
        self.config = parser.parse(args)

    def _parse_ckpt_path(self) -> None:
        """Leave the config as written: Lightning would let the checkpoint's settings override it."""

    def _set_seed(self) -> None:
        """Seed everything; numpy takes no seed below 0."""
        try:
            super()._set_seed()
        except ValueError as error:
            raise GeorankerError(f"seed_everything: {error}") from error

    def _run_subcommand(self, subcommand: str) -> None:
        """Run a command; a checkpoint that does not fit, or a command that a model does not have, is a mistake."""
        trained = any(parameter.requires_grad for parameter in self.model.parameters())
        trained &= not getattr(getattr(self.model, "backbone", None), "comes_trained", False)
        if subcommand != "fit" and trained and not self.config[subcommand].get("ckpt_path"):
            logging.getLogger("georanker").warning("no --ckpt_path: the figures are those of untrained weights")
        try:
            super()._run_subcommand(subcommand)
        except MisconfigurationException as error:
            raise GeorankerError(str(error)) from error
        except SystemExit as error:
            if self.trainer.state.status != TrainerStatus.INTERRUPTED:
                raise
            raise KeyboardInterrupt(
                self._interrupted(subcommand)
            ) from error  # Lightning says nothing, and exits with 1
        except ValueError as error:
            if not _passed(error, "configure_optimizers"):
                raise
            raise GeorankerError(f"model.optimizer: {error}") from error
        except (FileNotFoundError, pickle.UnpicklingError, EOFError, RuntimeError) as error:
            checkpoint = self.config[subcommand].get("ckpt_path")
            if not checkpoint or not _passed(error, "_load", "load_checkpoint", "restore_model", "load_state_dict"):
                raise
            reason = textwrap.shorten(str(error).partition(" and was blocked")[0], 160)
            raise GeorankerError(f"{checkpoint}: cannot be loaded into this model ({reason})") from error

    def _interrupted(self, subcommand: str) -> str:
        """Say from which checkpoint an interrupted training can go on."""
        given = self.config[subcommand].get("ckpt_path")
        checkpoint = getattr(self.trainer.checkpoint_callback, "best_model_path", "") or given
        resumes = subcommand == "fit" and checkpoint
        return f"interrupted; `georanker fit` goes on with --ckpt_path {checkpoint}" if resumes else "interrupted"

    def instantiate_classes(self) -> None:
        """Build all parts; a setting that a part refuses is the user's mistake."""
        try:
            with quiet_building():
                super().instantiate_classes()
        except MisconfigurationException as error:
            raise GeorankerError(str(error)) from error
        except ValueError as error:
            raise GeorankerError(explain(str(error), ShortErrors.files, ())) from error
        if getattr(self.datamodule, "collator", self) is None:  # a benchmark of the user's that has no such argument
            self.datamodule.collator = self.model.collator


def _passed(error: Exception, *functions: str) -> bool:
    """Return whether an error was raised inside one of these functions, and not by a step of the model."""
    return not {frame.name for frame in traceback.extract_tb(error.__traceback__)}.isdisjoint(functions)
