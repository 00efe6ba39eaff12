"""Every command of docs/reproduce.md, in its order, on miniatures of the public files and with a tiny model."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peft import LoraConfig

from georanker.backbones.vlm import VLMBackbone
from georanker.cli import TRAINER_COMMANDS, main
from georanker.data.im2gps3k import IM2GPS3K
from tests.conftest import ROOT
from tests.generators.chat_stand_in import ChatServer, chat_server, completion
from tests.miniatures import write_miniatures
from tests.test_configs import ONE_CPU, with_tiny_vlm

TEXT = (ROOT / "docs/reproduce.md").read_text()
SHORT = ["--trainer.limit_train_batches=1", "--trainer.max_epochs=1", "--trainer.limit_test_batches=2"]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command, those of a loop for each of its values."""
    for line in "".join(re.findall(r"```bash\n(.*?)```", text, re.S)).splitlines():
        loop = re.fullmatch(r"for (\w+) in (.+?); do (.+); done", line)
        values, command = (loop[2].split(), loop[3]) if loop else ([""], line)
        for value in values:
            yield shlex.split(command.replace(f"${loop[1]}", value) if loop else command)


COMMANDS = list(commands(TEXT))


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 25
    assert {words[0] for words in COMMANDS} == {"georanker"}
    assert {words[1] for words in COMMANDS} >= {
        "check-data",
        "fit",
        "test",
        "predict",
        "report",
        "generate",
        "build-georanking",
    }


def test_a_loop_is_a_command_for_each_value() -> None:
    assert list(commands("```bash\nfor x in 1 2 3; do a --b $x; done\n```")) == [["a", "--b", each] for each in "123"]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Path]) -> Path:
    """A folder that looks as the reader's does after the downloads."""
    folder = tmp_path_factory.mktemp("machine")
    write_miniatures(folder / "dataset")
    (folder / "configs").symlink_to(ROOT / "configs")
    lora = LoraConfig(r=16, lora_alpha=32, target_modules=["q_proj", "k_proj", "v_proj"])
    VLMBackbone(str(tiny("qwen2_vl")), lora=lora).save_weights(folder / "dataset/checkpoints")
    return folder


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    """A server of the reader's own."""
    with chat_server(lambda body: completion(*['{"latitude": 48.85, "longitude": 2.35}'] * body["n"])) as server:
        yield server


def test_the_whole_way(
    machine: Path,
    chat: ChatServer,
    tiny: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(machine)
    for _, verb, *args in COMMANDS:
        flags: list[str] = []
        if verb in TRAINER_COMMANDS:
            flags = [*ONE_CPU, "--trainer.precision=32-true", "--data.num_workers=0", *SHORT]
            retriever = any(arg.endswith("_retriever.yaml") for arg in args)
            flags += ["--data.batch_size=16"] if retriever else with_tiny_vlm(tiny("qwen2_vl"))
        elif verb == "generate" and any("chat" in arg for arg in args):
            flags = ["--data.num_workers=0", f"--generator.url={chat.url}"]
        elif verb == "generate":
            flags = ["--data.num_workers=0", f"--generator.model={tiny('qwen2_vl')}", "--generator.max_tokens=4"]
        elif "mp16_pro.yaml" in " ".join(args):
            flags = ["--data.num_workers=0"]
        if verb == "check-data":  # a few dozen rows are not those of the real files, and it says so
            with pytest.raises(SystemExit):
                main([verb, *args, *flags])
            assert "kinds of mistakes" in capsys.readouterr().out
        else:
            caplog.clear()
            main([verb, *args, *flags])
            assert "untrained weights" not in caplog.text
    assert (machine / "runs/im2gps3k/report.html").exists()
    guessed = IM2GPS3K(machine / "dataset/im2gps3k/im2gps3k.csv", candidates=machine / "runs/mp16_pro/guessed")
    assert [each.source for each in guessed.lists("test")[0].candidates] == ["retrieved"] * 12 + ["generated"] * 3
    assert "were taken at (" in str(chat.seen[0])
    assert (machine / "runs/mp16_pro/georanking/GeoRanking_retriever_train.parquet").exists()
