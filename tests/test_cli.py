"""The command line as a user meets it: what it shows, what it costs, and what it says to mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from georanker.cli import TRAINER_COMMANDS, main
from tests.conftest import ROOT, SMALL

DEMO = f"--config={ROOT / 'configs/experiment/blue_marble_demo.yaml'}"
RETRIEVER = f"--config={ROOT / 'configs/experiment/blue_marble_demo_retriever.yaml'}"


def georanker(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "georanker", *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)  # for what hangs


def mistake(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """Run a command that must fail, and return what it says: at most two lines, never a traceback."""
    with pytest.raises(SystemExit) as exit_:
        main(args)
    assert exit_.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert lines[0].startswith("georanker: ")
    assert len(lines) <= 2, lines
    return "\n".join(lines)


def test_help_names_each_command_and_imports_no_torch() -> None:
    code = "import sys; from georanker.cli import main; main(['--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in (*TRAINER_COMMANDS, "demo", "index", "retrieve"):
        assert f"\n  {command} " in done.stdout
    assert done.stdout.endswith("False\n")


def test_version_and_module() -> None:
    done = georanker("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("georanker 0.")


def test_help_is_a_success() -> None:
    assert georanker().returncode == 0
    done = georanker("demo", "--help")
    assert done.returncode == 0
    assert "--experiment" in done.stdout


def test_fit_help_names_the_parts() -> None:
    done = georanker("fit", "--help")
    assert done.returncode == 0
    assert "BlueMarble" in done.stdout
    assert "Ranker" in done.stdout


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'retrieve'?" in mistake(capsys, "retreive")


@pytest.mark.parametrize(
    ("text", "line", "wrong", "meant"),
    [
        ("data:\n  class_path: BlueMarble\n  init_args:\n    galery_size: 5\n", 4, "galery_size", "gallery_size"),
        ("data: BlueMarbel\n", 1, "BlueMarbel", "BlueMarble"),
        ("data: BlueMarble\ntrainer:\n  max_epoch: 5\n", 3, "max_epoch", "max_epochs"),
        ("data: BlueMarble\nmodle: Ranker\n", 2, "modle", "model"),
        (
            "data: BlueMarble\nmodel:\n  class_path: Ranker\n  init_args:\n    backbone: EmbedingBackbone\n",
            5,
            "EmbedingBackbone",
            "EmbeddingBackbone",
        ),
        (
            "data: BlueMarble\nmodel:\n  class_path: Ranker\n  init_args:\n"
            "    backbone: ConsensusBackbone\n    loss:\n      class_path: RankNet\n      init_args:\n"
            "        sigmaa: 1.0\n",
            9,
            "sigmaa",
            "sigma",
        ),
    ],
)
def test_typo(text: str, line: int, wrong: str, meant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(text)
    said = mistake(capsys, "fit", f"--config={config}")
    assert f"{config}, line {line}: '{wrong}'" in said
    assert f"did you mean '{meant}'?" in said


def test_an_option_that_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    config = f"--config={ROOT / 'configs/experiment/blue_marble_consensus.yaml'}"
    for args in (["check-data"], ["test", config]):
        with pytest.raises(SystemExit):
            main([*args, "--data", "IM2GPS3K"])
        told = "georanker: IM2GPS3K needs table\n  give it with --data.table, or in a YAML\n"
        assert capsys.readouterr().err == told


def test_typo_in_a_file_that_is_pointed_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "parts").mkdir()
    part = tmp_path / "parts" / "data.yaml"
    part.write_text("class_path: BlueMarble\ninit_args:\n  unsean: true\n")
    config = tmp_path / "mine.yaml"
    config.write_text("data: parts/data.yaml\n")
    assert f"{part}, line 3: 'unsean'" in mistake(capsys, "fit", f"--config={config}")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--config=nowhere.yaml"], "nowhere.yaml"),
        ([DEMO, "--trainer.max_epochs=many"], "trainer.max_epochs is many"),
        ([DEMO, "--data.batch_size=0"], "batch_size must be at least 1, not 0"),
        ([DEMO, "--data.num_workers=-1"], "num_workers must be at least 0, not -1"),
        ([DEMO, "--data.seed=-1"], "seed must be at least 0, not -1"),
        ([DEMO, "--data.data_seed=-1"], "data_seed must be at least 0, not -1"),
        ([DEMO, "--seed_everything=-1"], "seed_everything: -1 is not in bounds"),
        ([DEMO, "--model.optimizer.lr=-1"], "model.optimizer: Invalid learning rate: -1"),
        ([DEMO, "--trainer.precision=64-true"], "trainer.precision 64-true converts every number"),
        ([DEMO, "--data.candidates=nowhere"], "nowhere/train.parquet: not there"),
        ([DEMO, "--model.loss=null"], "model.loss is not set"),
        ([RETRIEVER, "--model.image_encoder.dim=64"], "set both dim to the same"),
    ],
)
def test_mistake_in_a_setting(
    args: list[str], said: str, small_data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = small_data if args[0] == DEMO else SMALL
    folder = f"--trainer.default_root_dir={tmp_path}"
    args = args if "nowhere.yaml" in args[0] else [args[0], *data, folder, "--trainer.logger=False", *args[1:]]
    assert said in mistake(capsys, "fit", *args)


def test_broken_yaml_names_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "broken.yaml"
    config.write_text("data: BlueMarble\nmodel: [1\n")
    assert f"{config}, line 3: not valid YAML" in mistake(capsys, "fit", f"--config={config}")


@pytest.mark.parametrize("command", ["fit", "index"])
def test_yaml_in_other_letters_is_named(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "latin.yaml"
    config.write_bytes("data: Café\n".encode("latin-1"))
    assert f"{config}: not valid YAML" in mistake(capsys, command, f"--config={config}")


def test_checkpoint_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    garbage = tmp_path / "garbage.ckpt"
    garbage.write_bytes(b"not a checkpoint")
    args = ["--data=BlueMarble", f"--out={tmp_path / 'gallery'}"]
    assert str(garbage) in mistake(capsys, "index", *args, f"--retriever={garbage}")
    assert "nowhere.ckpt" in mistake(capsys, "index", *args, "--retriever=nowhere.ckpt")
    assert not (tmp_path / "gallery").exists()


def test_what_the_user_wrote_wins_over_the_checkpoint(small_data: list[str], tmp_path: Path) -> None:
    from georanker.cli import run_trainer

    folder = [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False"]
    cli = run_trainer(["fit", DEMO, *small_data, *folder, "--trainer.max_epochs=1"])
    assert cli.model.loss.first_order_weight == 0.7
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    again = run_trainer(
        ["test", DEMO, *small_data, *folder, f"--ckpt_path={checkpoint}", "--model.loss.first_order_weight=0.5"]
    )
    assert again.model.loss.first_order_weight == 0.5


def test_a_class_of_the_users_own(small_run: Path, small_data: list[str], tmp_path: Path) -> None:
    (tmp_path / "my_loss.py").write_text(
        "from torch import Tensor\n"
        "from georanker.losses.base import RankingLoss\n\n\n"
        "class Nearest(RankingLoss):\n"
        '    """Minus the score of the nearest."""\n\n'
        "    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:\n"
        "        return -scores.gather(1, distances_km.nan_to_num(1e9).argmin(1, keepdim=True)).mean()\n"
    )
    folder = [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False", "--trainer.fast_dev_run=1"]
    script = str(Path(sys.executable).with_name("georanker"))  # unlike `python -m`, it does not see the working folder
    args = [script, "fit", DEMO, *small_data, *folder, "--model.loss=my_loss.Nearest"]
    done = subprocess.run(args, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_checkpoints_that_do_not_fit(
    small_run: Path, small_data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "garbage.ckpt").write_bytes(b"not a checkpoint")
    folder = [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False"]
    for checkpoint in ("nowhere.ckpt", str(tmp_path / "garbage.ckpt"), str(small_run / "retriever.ckpt")):
        said = mistake(capsys, "test", DEMO, *small_data, *folder, f"--ckpt_path={checkpoint}")
        assert said.startswith(f"georanker: {checkpoint}: cannot be loaded into this model (")


def test_a_setting_that_a_verb_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--data=BlueMarble", "--data.batch_size=0", f"--out={tmp_path}", "--retriever=nowhere.ckpt"]
    assert "batch_size must be at least 1, not 0" in mistake(capsys, "index", *args)


def test_a_command_that_a_model_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False", f"--data.cache={tmp_path}"]
    assert "test_step" in mistake(capsys, "test", RETRIEVER, *SMALL, *folder)


def test_untrained_weights_are_named(small_data: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False"]
    main(["test", DEMO, *small_data, *folder])
    assert "no --ckpt_path: the figures are those of untrained weights" in caplog.text


def test_a_terminal_that_knows_ascii_alone(small_data: list[str]) -> None:
    data = [f"--data={ROOT / 'configs/data/blue_marble_demo.yaml'}", *small_data]
    command = [sys.executable, "-m", "georanker", "check-data", *data, "--photos=0", "--splits=[test]"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert "Traceback" not in done.stderr
    assert "km from the truth" in done.stdout
