"""A mistake in a file that another one points to is told with its own file and line, from wherever one stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from georanker.cli import main

EXPERIMENT = "data: parts/data.yaml\nmodel: parts/ranker.yaml\n"
RANKER = "class_path: Ranker\ninit_args:\n  backbone: EmbeddingBackbone\n  # not mine.yaml\n  loss: ../loss/mine.yaml\n"


def told(folder: Path, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(args)
    assert exit_.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith("georanker: ")
    assert len(told.splitlines()) <= 2
    return told.removeprefix("georanker: ").removesuffix("\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {"mine": EXPERIMENT, "parts/data": "class_path: BlueMarble\n", "parts/ranker": RANKER}.items():
        (tmp_path / name).with_suffix(".yaml").parent.mkdir(exist_ok=True)
        (tmp_path / name).with_suffix(".yaml").write_text(text)
    (tmp_path / "loss").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            b"class_path: RankNet\ninit_args:\n  sigmaa: 1\n",
            "loss/mine.yaml, line 3: 'sigmaa' is not an option of RankNet\n  did you mean 'sigma'?",
        ),
        (b"", "loss/mine.yaml: is empty"),
        (b"# later\n", "loss/mine.yaml: is empty"),
        (b"class_path: RankNet\n\nx: [1\n", "loss/mine.yaml, line 4: not valid YAML (expected ',' or ']'"),
        (b"\x9a\x00", "loss/mine.yaml: not valid YAML ("),
        (b"a: \x00", "loss/mine.yaml: not valid YAML ("),
        (
            b"class_path: RankNet\ninit_args: [1, 2]\n",
            "loss/mine.yaml, line 2: init_args of RankNet\n  expected: a name and a value a line",
        ),
        (
            b"class_path: Ranker\n",
            "loss/mine.yaml, line 1: 'Ranker' is not a class that `loss` can be\n  did you mean 'RankNet'?",
        ),
        (
            b"class_path: my.nowhere.Loss\n",
            "loss/mine.yaml, line 1: 'my.nowhere.Loss' is not a class that `loss` can be\n  one of: DistanceRegr",
        ),
    ],
)
def test_a_file_that_is_pointed_to(text: bytes, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "loss/mine.yaml").write_bytes(text)
    assert told(folder, capsys, "fit", "--config", "mine.yaml").startswith(said)
    assert told(folder, capsys, "fit", "--config=mine.yaml", "--print_config").startswith(said)


def test_a_file_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "loss/mien.yaml").write_text("class_path: RankNet\n")
    said = "parts/ranker.yaml, line 5: '../loss/mine.yaml' is not there\n  did you mean '../loss/mien.yaml'?"
    assert told(folder, capsys, "fit", "--config", "mine.yaml") == said
    said = "command line: 'loss/mine.yaml' is not there\n  did you mean 'loss/mien.yaml'?"
    assert told(folder, capsys, "fit", "--data=BlueMarble", "--model=Ranker", "--model.loss", "loss/mine.yaml") == said
    said = "command line: 'min.yaml' is not there\n  did you mean 'mine.yaml'?"
    assert told(folder, capsys, "fit", "--config", "min.yaml") == said


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--data.batch_size=many"], "command line: batch_size is many\n  expected: int"),
        (["--data=parts/list.yaml"], "parts/list.yaml, line 3: batch_size is [1]\n  expected: int"),
        (
            ["--config=epochs.yaml", "--print_config"],
            "epochs.yaml, line 2: 'max_epoch' is not an option of trainer\n  did you mean 'max_epochs'?",
        ),
        (
            ["--model=parts/optimizer.yaml"],
            "parts/optimizer.yaml, line 7: 'lrr' is not an option of AdamW\n  did you mean 'lr'?",
        ),
        (
            ["--model=ContrastiveRetriever", "--model.image_encoder=Nope"],
            "command line: 'Nope' is not a class that `image_encoder` can be\n  one of: ConvNet, EfficientNetLite0",
        ),
    ],
)
def test_a_mistake_beside_it(args: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "loss/mine.yaml").write_text("class_path: RankNet\n")
    (folder / "parts/list.yaml").write_text("class_path: BlueMarble\ninit_args:\n  batch_size: [1]\n")
    (folder / "epochs.yaml").write_text("trainer:\n  max_epoch: 3\n")
    optimizer = "  optimizer:\n    class_path: torch.optim.AdamW\n    init_args:\n      lrr: 0.1\n"
    (folder / "parts/optimizer.yaml").write_text(f"class_path: Ranker\ninit_args:\n  loss: RankNet\n{optimizer}")
    assert told(folder, capsys, "fit", "--config", "mine.yaml", *args) == said


def test_an_experiment_in_the_place_of_its_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "mine.yaml is not what `data` can be, but a file that holds it\n  give it as --config mine.yaml"
    assert told(folder, capsys, "index", "--data", "mine.yaml", "--retriever=x.ckpt", "--out=gallery") == said
