"""The figure that a run reached stands beside its settings in TensorBoard."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from georanker.cli import run_trainer
from tests.conftest import ROOT


def test_hparams(small_data: list[str], tmp_path: Path) -> None:
    config = f"--config={ROOT / 'configs/experiment/blue_marble_demo.yaml'}"
    folders = [f"--trainer.default_root_dir={tmp_path}", f"--trainer.logger.save_dir={tmp_path}"]
    cli = run_trainer(["fit", config, *small_data, *folders, "--trainer.max_epochs=1"])
    events = EventAccumulator(str(tmp_path / "logs" / "ranker")).Reload()
    assert "_hparams_/session_start_info" in events.summary_metadata
    (logged,) = {event.value for event in events.Scalars("val/ranked/acc@200km")}
    assert logged == cli.trainer.callback_metrics["val/ranked/acc@200km"].item()
