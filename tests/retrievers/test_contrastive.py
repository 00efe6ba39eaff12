"""InfoNCE against plain numpy, and a retriever that learns, retrieves, and knows its own gallery."""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from georanker.encoders.conv_net import ConvNet
from georanker.encoders.fourier_location import FourierLocationEncoder
from georanker.retrievers.contrastive import ContrastiveRetriever
from georanker.retrievers.gallery import Gallery
from georanker.schedules import LinearDecay
from georanker.types import GeorankerError, Photo, PhotoBatch, Place


@dataclass(frozen=True)
class Colours:
    """Photos in two colours, which tell where they were taken."""

    size: int = 16

    def read(self, photo_id: str) -> bytes:
        buffer = io.BytesIO()
        random = np.random.default_rng(int(photo_id))
        halves = random.integers(0, 256, (1, 2, 3), np.uint8).repeat(self.size, 0).repeat(self.size // 2, 1)
        Image.fromarray(halves).save(buffer, "PNG")
        return buffer.getvalue()


def photos(count: int) -> list[Photo]:
    return [Photo(str(row), Place(row * 7 % 170 - 85, row * 53 % 350 - 175), Colours()) for row in range(count)]


def made(seed: int = 0) -> ContrastiveRetriever:
    torch.manual_seed(seed)
    image_encoder = ConvNet(dim=8, width=4, image_size=16)
    return ContrastiveRetriever(image_encoder, FourierLocationEncoder(dim=8, hidden=16)).eval()


def batches(retriever: ContrastiveRetriever, some: Sequence[Photo], size: int) -> list[PhotoBatch]:
    return [retriever.collator(some[start : start + size]) for start in range(0, len(some), size)]


def gallery_of(retriever: ContrastiveRetriever, count: int = 12) -> Gallery:
    return retriever.index(photos(count), batches(retriever, photos(count), 5))


class Given(ContrastiveRetriever):
    """Encoders that answer with given vectors."""

    def __init__(self, x: np.ndarray, y: np.ndarray, log_scale: float) -> None:
        super().__init__(ConvNet(dim=2, width=1), FourierLocationEncoder(dim=2, features=2, hidden=2))
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.log_scale.data = torch.tensor(log_scale, dtype=torch.float64)
        self.image_encoder.forward = lambda pixels: self.x  # type: ignore[method-assign]
        self.location_encoder.forward = lambda places: self.y  # type: ignore[method-assign]
        self.log = lambda *_, **__: None  # type: ignore[method-assign]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(count=st.integers(1, 9), dim=st.integers(1, 5), seed=st.integers(0, 1000), temperature=st.floats(0.001, 2))
def test_info_nce_is_the_formula(count: int, dim: int, seed: int, temperature: float) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(2, count, dim))
    batch = PhotoBatch(("",) * count, torch.zeros(count, 3, 4, 4), torch.zeros(count, 2))
    loss = Given(x, y, -math.log(temperature)).training_step(batch, 0).item()

    scale = min(1 / temperature, 100.0)
    total = 0.0
    for i in range(count):
        for one, others in ((x[i], y), (y[i], x)):
            logits = [scale * one @ o / (np.linalg.norm(one) * np.linalg.norm(o)) for o in others]
            total += np.logaddexp.reduce(logits) - logits[i]
    assert loss == pytest.approx(total / (2 * count), rel=1e-9, abs=1e-9)


@torch.no_grad()
def test_vectors_have_length_one() -> None:
    retriever = made()
    batch = retriever.collator(photos(5))
    for vectors in (retriever.embed_photos(batch), retriever.embed_places(batch.places)):
        assert vectors.shape == (5, 8)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))


def test_encoders_must_agree_on_the_length() -> None:
    with pytest.raises(ValueError, match="image_encoder gives vectors of 8 numbers and location_encoder of 9"):
        ContrastiveRetriever(ConvNet(dim=8), FourierLocationEncoder(dim=9))


def test_the_collator_travels_without_weights() -> None:
    retriever = made()
    assert len(pickle.dumps(retriever.collator)) < 500
    assert retriever.collator(photos(2)).pixels.shape == (2, 3, 16, 16)


@settings(deadline=None, derandomize=True, max_examples=15)
@given(count=st.integers(1, 9), top_k=st.integers(1, 15), batch_size=st.integers(1, 10), size=st.integers(1, 10))
def test_retrieving_is_streaming(count: int, top_k: int, batch_size: int, size: int) -> None:
    retriever = made()
    gallery = gallery_of(retriever)
    some = photos(20)[-count:]
    found = retriever.retrieve(some, gallery, top_k, batch_size)
    streamed = list(retriever.stream(some, batches(retriever, some, size), gallery, top_k))
    assert [each.photo for each in found] == some
    for one, two in zip(found, streamed, strict=True):
        assert one.photo == two.photo
        assert [c.gallery_row for c in one.candidates] == [c.gallery_row for c in two.candidates]
        assert len(one) == min(top_k, 12)
        assert one.embedding is not None
        assert two.embedding is not None
        np.testing.assert_allclose(one.embedding, two.embedding, atol=1e-6)


def test_a_photo_of_the_gallery_finds_itself_first() -> None:
    """Only so do the rows of the vectors, of the places and of the photos follow one order."""
    retriever = made()
    gallery = gallery_of(retriever)
    for row, found in enumerate(retriever.retrieve(photos(12), gallery, 3)):
        best = found.candidates[0]
        assert (best.gallery_row, best.place) == (row, photos(12)[row].place)
        assert best.photo == photos(12)[row]
        assert best.score == pytest.approx(1, abs=1e-5)
    places = torch.tensor([[p.place.latitude, p.place.longitude] for p in photos(12) if p.place], dtype=torch.float64)
    with torch.no_grad():
        expected = retriever.embed_places(places)
    np.testing.assert_allclose(gallery.location_embeddings, expected, atol=1e-6)


def test_streaming_reads_only_what_is_asked_for() -> None:
    retriever = made()
    read: list[int] = []

    def watched() -> Iterator[PhotoBatch]:
        for number, batch in enumerate(batches(retriever, photos(12), 3)):
            read.append(number)
            yield batch

    stream = retriever.stream(photos(12), watched(), gallery_of(retriever), 2)
    for _ in range(4):
        next(stream)
    assert read == [0, 1]


def test_a_gallery_of_another_retriever_is_refused() -> None:
    gallery = gallery_of(made(0))
    other = made(1)
    assert made(0).fingerprint() == gallery.fingerprint != other.fingerprint()
    with pytest.raises(
        GeorankerError, match=f"made by retriever {gallery.fingerprint}, not by .*{other.fingerprint()}"
    ):
        other.retrieve(photos(2), gallery, 3)


def test_the_fingerprint_sees_every_weight() -> None:
    retriever = made()
    before = retriever.fingerprint()
    for name, tensor in retriever.state_dict().items():
        old = tensor.clone()
        tensor.view(-1)[-1:] += 1
        assert retriever.fingerprint() != before, name
        tensor.copy_(old)
    assert retriever.fingerprint() == before
    assert made().double().fingerprint() != before


def test_an_empty_gallery_is_named() -> None:
    with pytest.raises(GeorankerError, match="gallery has no photos"):
        made().index([], [])


def test_a_photo_without_place_cannot_be_indexed() -> None:
    retriever = made()
    some = [*photos(2), replace(photos(3)[2], place=None)]
    with pytest.raises(GeorankerError, match="photo 2 has no place"):
        retriever.index(some, batches(retriever, some, 5))


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_training_finds_places(tmp_path: Path) -> None:
    torch.manual_seed(0)
    retriever = ContrastiveRetriever(
        ConvNet(dim=8, width=4, image_size=16),
        FourierLocationEncoder(dim=8, hidden=16),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.01),
        schedule=LinearDecay,
    )
    data: DataLoader[Photo] = DataLoader(photos(16) * 2, 16, collate_fn=retriever.collator)  # type: ignore[arg-type]
    trainer = L.Trainer(
        max_epochs=30,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        default_root_dir=tmp_path,
    )
    trainer.fit(retriever, data, data)
    assert trainer.callback_metrics["val/loss"] < math.log(16) / 2, "guessing costs log 16"
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9), "the schedule is stepped"
