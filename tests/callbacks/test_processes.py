"""Two processes train together: the first draws and logs, and the other waits for it."""

from __future__ import annotations

from pathlib import Path

from tests.callbacks.pictures import events
from tests.conftest import ROOT
from tests.vlm_runs import finished


def test_one_of_two_processes_draws(small_data: list[str], tmp_path: Path) -> None:
    config = f"--config={ROOT / 'configs/experiment/blue_marble_demo.yaml'}"
    folders = [f"--trainer.default_root_dir={tmp_path}", f"--trainer.logger.save_dir={tmp_path}"]
    two = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.log_every_n_steps=1"]
    finished("fit", config, *small_data, *folders, *two, "--data.batch_size=8", "--trainer.max_epochs=1")
    names = ["example_strips", "score_against_distance", "world_map"]
    assert sorted(path.name for path in tmp_path.rglob("*.png*")) == [f"{name}.png" for name in names]
    assert len(list(tmp_path.rglob("events.*"))) == 1
    read = events(tmp_path / "logs/ranker")
    assert sorted(read.Tags()["images"]) == [f"val/{name}" for name in names]
    assert all(len(read.Images(f"val/{name}")) == 1 for name in names)
    assert len(read.Scalars("throughput/photos_per_second")) == 2
