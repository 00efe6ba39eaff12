"""Retrievers come back from their checkpoints, and nothing else does."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from georanker.candidates import CandidatesFile
from georanker.data.blue_marble import BlueMarble
from georanker.retrievers.contrastive import ContrastiveRetriever
from georanker.retrievers.gallery import Gallery
from georanker.types import GeorankerError
from georanker.verbs.index import load_retriever


class Evil:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return self.mark.touch, ()


def checkpoint(class_path: str = "georanker.retrievers.ContrastiveRetriever", **changes: object) -> dict[str, object]:
    return {
        "state_dict": {},
        "pytorch-lightning_version": "2.6.6",
        "hyper_parameters": {"_class_path": class_path, "_instantiator": "lightning.pytorch.cli.instantiate_module"},
        **changes,
    }


def refused(path: Path) -> str:
    with pytest.raises(GeorankerError) as raised:
        load_retriever(path)
    line = str(raised.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert "weights_only" not in line, "nobody is told to load what may run code"
    return line.removeprefix(f"{path}: ")


def test_a_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "x.ckpt") == "not there; name the checkpoint of a trained retriever"
    assert "Is a directory" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello there", bytes(range(256)) * 9], ids=["empty", "text", "bytes"])
def test_garbage(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    assert refused(tmp_path / "x.ckpt") == "not a checkpoint, or cut short"


def test_archives_that_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    torch.save(checkpoint(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")
    refused(path)
    others: tuple[object, ...] = ({"state_dict": {}}, [1, 2], torch.ones(3))
    for other in others:
        torch.save(other, path)
        refused(path)


def test_code_is_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    for trap in (Evil(mark), checkpoint(state_dict=Evil(mark)), checkpoint(hyper_parameters={"x": Evil(mark)})):
        torch.save(trap, tmp_path / "x.ckpt")
        refused(tmp_path / "x.ckpt")
        assert not mark.exists()


@pytest.mark.parametrize(
    "found", ["georanker.ranker.Ranker", "georanker.retrievers.Nobody", "nowhere.Nobody", "os.system"]
)
def test_a_checkpoint_of_something_else_is_named(found: str, tmp_path: Path) -> None:
    torch.save(checkpoint(found), tmp_path / "x.ckpt")
    assert f"'{found}'" in refused(tmp_path / "x.ckpt")
    torch.save(checkpoint(hyper_parameters={"_instantiator": found}), tmp_path / "x.ckpt")
    assert f"'{found}'" in refused(tmp_path / "x.ckpt")


def test_what_training_saved_comes_back(small_run: Path) -> None:
    retriever = load_retriever(small_run / "retriever.ckpt")
    assert isinstance(retriever, ContrastiveRetriever)
    weights = torch.load(small_run / "retriever.ckpt", weights_only=True)["state_dict"]
    found = retriever.state_dict()
    assert found.keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in found.items())


def test_the_candidates_file_holds_what_the_retriever_finds(small_run: Path) -> None:
    retriever = load_retriever(small_run / "retriever.ckpt")
    gallery = Gallery.load(small_run / "gallery")
    data = BlueMarble(gallery_size=96, val_size=16, cache=small_run / "cache")
    assert len(gallery) == 96
    found = CandidatesFile(small_run / "candidates" / "val.parquet")
    assert found.retriever == retriever.fingerprint() == gallery.fingerprint
    expected = retriever.retrieve(data.photos("val"), gallery, top_k=8)
    assert [each.photo for each in found] == [each.photo for each in expected]
    for one, two in zip(found, expected, strict=True):
        assert [c.gallery_row for c in one.candidates] == [c.gallery_row for c in two.candidates]
        assert [c.score for c in one.candidates] == pytest.approx([c.score for c in two.candidates], abs=1e-5)
        assert Path(one.gallery).resolve() == (small_run / "gallery").resolve()


def test_the_gallery_holds_the_places_of_the_benchmark(small_run: Path) -> None:
    gallery = Gallery.load(small_run / "gallery")
    photos = BlueMarble(gallery_size=96, cache=small_run / "cache").photos("gallery")
    assert [gallery.candidate(row, 0.0).photo for row in range(96)] == list(photos)
