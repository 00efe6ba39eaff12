"""The contract of retrievers: photos and places in one space, and the candidates found there."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Self

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import Subset

from georanker.hub import fetch
from georanker.looks import MOST, looks
from georanker.pretrained import build, read_yaml, write_yaml
from georanker.recorded import Recorded, specification
from georanker.retrievers.gallery import Gallery
from georanker.types import CandidateList, GeorankerError, Photo, PhotoBatch
from georanker.weights import read_weights, write_weights

CONFIG, WEIGHTS = "retriever.yaml", "retriever.safetensors"


class Retriever(Recorded, L.LightningModule, ABC):
    """Embeds photos and places, fills a gallery with them, and looks up candidates in it."""

    for_training: ClassVar[Sequence[str]] = ("optimizer", "schedule")
    """Arguments that change no vector, and are not saved."""

    @property
    @abstractmethod
    def collator(self) -> Callable[[Sequence[Photo]], PhotoBatch]:
        """Makes the batches that `embed_photos` reads; picklable, without weights."""

    @abstractmethod
    def embed_photos(self, batch: PhotoBatch) -> Tensor:
        """Return (B, D) unit vectors."""

    @abstractmethod
    def embed_places(self, places: Tensor) -> Tensor:
        """Return (N, D) unit vectors of (N, 2) degrees."""

    def fingerprint(self) -> str:
        """Return what tells this retriever's vectors from another's: a hash of all weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def save_pretrained(self, folder: Path) -> None:
        """Write how this retriever is built, as a YAML that `georanker --model` reads, and its weights as safetensors.

        Raises:
            GeorankerError: an argument cannot be written as YAML.
        """
        settings = specification(self, self.for_training)
        write_weights(folder / WEIGHTS, self)
        write_yaml(folder / CONFIG, settings)

    @classmethod
    def from_pretrained(cls, source: str | Path) -> Self:
        """Build a retriever that was saved, ready to retrieve.

        Args:
            source: a folder that `save_pretrained` wrote, or a hub's id.

        Raises:
            GeorankerError: it is not such a folder, or a part of it does not fit.
        """
        folder = fetch(source)
        path = folder / CONFIG
        retriever = build(path, cls, "retriever", {"retriever": read_yaml(path)}, "retriever")
        read_weights(folder / WEIGHTS, retriever)
        return retriever.eval()

    @torch.inference_mode()
    def index(self, photos: Sequence[Photo], batches: Iterable[PhotoBatch]) -> Gallery:
        """Embed a gallery.

        Args:
            photos: the gallery's photos; each must have a place.
            batches: the same photos in the same order, as a loader with this retriever's collator gives them; those
                that they lack are left out of the gallery.

        Raises:
            GeorankerError: there are no photos, or one has no place.
        """
        if not len(photos):
            raise GeorankerError("the split gallery has no photos")
        self.eval()
        vectors: list[Tensor] = []
        location_vectors: list[Tensor] = []
        seen: list[Tensor] = []
        kept: list[int] = []
        every = -(-len(photos) // MOST)
        for batch in batches:
            seen.append(looks(batch.pixels[-len(kept) % every :: every]))
            kept += rows_of(batch, photos, kept[-1] + 1 if kept else 0)
            batch = batch.to(self.device)
            vectors.append(self.embed_photos(batch).float().cpu())
            location_vectors.append(self.embed_places(batch.places).float().cpu())
        gallery = Gallery(self.fingerprint())
        read: Sequence[Photo] = Subset(photos, kept)  # type: ignore[assignment, arg-type]
        gallery.add(read, torch.cat(vectors).numpy(), torch.cat(location_vectors).numpy())
        gallery.looks = torch.cat(seen).numpy()
        return gallery

    @torch.inference_mode()
    def stream(
        self,
        photos: Sequence[Photo],
        batches: Iterable[PhotoBatch],
        gallery: Gallery,
        top_k: int,
        negatives: int = 0,
    ) -> Iterator[CandidateList]:
        """Yield the candidates of each photo of the batches, in their order; only one batch is held in memory.

        Raises:
            GeorankerError: the gallery was made by another retriever.
        """
        self.eval()
        gallery.check_fingerprint(self.fingerprint())
        start = 0
        for batch in batches:
            vectors = self.embed_photos(batch.to(self.device)).float().cpu().numpy()
            rows = rows_of(batch, photos, start)
            yield from gallery.search([photos[row] for row in rows], vectors, top_k, negatives)
            start = rows[-1] + 1

    def retrieve(
        self, photos: Sequence[Photo], gallery: Gallery, top_k: int, batch_size: int = 64
    ) -> list[CandidateList]:
        """Return the candidates of each photo, best first.

        Args:
            photos: what to locate.
            gallery: an index that this retriever made.
            top_k: candidates per photo; the whole gallery if it is smaller.
            batch_size: photos that are decoded and embedded at once.
        """
        starts = range(0, len(photos), batch_size)
        batches = (self.collator(photos[start : start + batch_size]) for start in starts)
        return list(self.stream(photos, batches, gallery, top_k))


def rows_of(batch: PhotoBatch, photos: Sequence[Photo], start: int) -> list[int]:
    """Return where the photos of a batch stand, from row `start` on; those between them could not be read."""
    rows = []
    for photo_id in batch.photo_ids:
        while photos[start].id != photo_id:
            start += 1
        rows.append(start)
        start += 1
    return rows
