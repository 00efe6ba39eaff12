"""The places that a retriever can find."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from georanker.files import check_writable, folder_beside
from georanker.looks import COUNT
from georanker.types import LIMITS, Candidate, CandidateList, GeorankerError, Photo, PhotoSource, Place

if TYPE_CHECKING:
    import faiss

FORMAT_VERSION = 1
_PLACES = pa.schema(
    [("photo_id", pa.string()), ("latitude", pa.float64()), ("longitude", pa.float64())]
    + [(name, pa.string()) for name in ("city", "state", "country")]
)
_COLUMNS = tuple(_PLACES.names)
_LOOKS = "looks.npy"
_HASHED = 4096
_FILES = ("embeddings.npy", "location_embeddings.npy", "places.parquet", "gallery.json", _LOOKS)


class Gallery:
    """Vectors of photos, vectors of their places, and the places themselves, searched exactly by inner product.

    On disk a folder: `embeddings.npy` and `location_embeddings.npy` (N, D) float32, which others memory-map,
    `places.parquet` with a row for each, and `gallery.json`; and `looks.npy`, what a sample of its photos looks like.

    Args:
        fingerprint: of the retriever that made the vectors.
        photo_source: holds the bytes of its photos.
    """

    def __init__(self, fingerprint: str, photo_source: PhotoSource | None = None) -> None:
        self.fingerprint = fingerprint
        self.photo_source = photo_source
        self.folder: Path | None = None
        self.embeddings: np.ndarray = np.empty((0, 0), np.float32)
        self.location_embeddings: np.ndarray = np.empty((0, 0), np.float32)
        self.looks: np.ndarray | None = None
        """(M, F) of some of its photos, see `georanker.looks`; None where nobody has looked."""
        self._places: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        self._index: faiss.IndexFlatIP | None = None

    def __len__(self) -> int:
        return len(self._places["photo_id"])

    @property
    def photo_ids(self) -> Sequence[str]:
        """The ids of its photos, row by row."""
        return self._places["photo_id"]

    def add(self, photos: Sequence[Photo], embeddings: np.ndarray, location_embeddings: np.ndarray) -> None:
        """Append photos with their vectors.

        Args:
            photos: N photos that have a place.
            embeddings: (N, D) vectors of the photos.
            location_embeddings: (N, D) vectors of the places.

        Raises:
            GeorankerError: the three differ in length, a photo has no place, or a vector is not finite.
        """
        if not len(photos) == len(embeddings) == len(location_embeddings):
            raise GeorankerError(
                f"a gallery needs as many places as vectors, not {len(photos)} photos with {len(embeddings)} "
                f"embeddings and {len(location_embeddings)} location embeddings"
            )
        for photo in photos:
            if photo.place is None:
                raise GeorankerError(f"photo {photo.id} has no place, so the gallery cannot hold it")
        for vectors in (embeddings, location_embeddings):
            _check_finite(photos, vectors)
        if not len(photos):
            return
        rows = [
            (p.id, p.place.latitude, p.place.longitude, p.place.city, p.place.state, p.place.country)
            for p in photos
            if p.place
        ]
        for name, column in zip(_COLUMNS, zip(*rows, strict=True), strict=True):
            self._places[name].extend(column)
        old = len(self.embeddings)
        self.embeddings = np.concatenate([self.embeddings, embeddings]) if old else embeddings
        self.location_embeddings = (
            np.concatenate([self.location_embeddings, location_embeddings]) if old else location_embeddings
        )
        self._index = None

    def candidate(self, row: int, score: float) -> Candidate:
        """Return the place of `row` as a candidate with `score`."""
        columns = self._places
        place = Place(*(columns[name][row] for name in _COLUMNS[1:]))
        return Candidate(place, score, Photo(columns["photo_id"][row], place, self.photo_source), row)

    def search(
        self, photos: Sequence[Photo], embeddings: np.ndarray, top_k: int, negatives: int = 0
    ) -> list[CandidateList]:
        """Find the `top_k` rows of largest inner product for each photo.

        Args:
            photos: B photos.
            embeddings: (B, D) float32, their vectors.
            top_k: candidates per photo; the whole gallery if it is smaller.
            negatives: as many of the places that follow the candidates.

        Raises:
            GeorankerError: the gallery is empty, or a vector is not finite.
        """
        for name, count, least in (("top_k", top_k, 1), ("negatives", negatives, 0)):
            if count < least:
                raise GeorankerError(f"{name} must be at least {least}, not {count}")
        if not len(self):
            raise GeorankerError("the gallery is empty; fill it with `georanker index`")
        _check_finite(photos, embeddings)
        if self._index is None:
            try:
                import faiss
            except ImportError as error:
                raise GeorankerError("a gallery is searched with faiss: pip install 'georanker[cpu]'") from error

            self._index = faiss.IndexFlatIP(self.embeddings.shape[1])
            self._index.add(np.ascontiguousarray(self.embeddings))
        scores, rows = self._index.search(np.ascontiguousarray(embeddings), min(top_k + negatives, len(self)))
        found = [
            tuple(self.candidate(row, score) for row, score in zip(*pair, strict=True))
            for pair in zip(rows.tolist(), scores.tolist(), strict=True)
        ]
        return [
            CandidateList(photo, each[:top_k], each[top_k:], embedding, str(self.folder or ""))
            for photo, embedding, each in zip(photos, embeddings, found, strict=True)
        ]

    def check_fingerprint(self, fingerprint: str) -> None:
        """Raise GeorankerError if another retriever made this gallery: its vectors would mean nothing."""
        if fingerprint != self.fingerprint:
            raise GeorankerError(
                f"gallery {self.folder}: made by retriever {self.fingerprint}, not by this one ({fingerprint}); "
                "build it again with `georanker index`"
            )

    @staticmethod
    def check_place(folder: Path) -> None:
        """See before long work that a gallery can be saved here.

        Raises:
            GeorankerError: the folder holds something else, which would be lost, or cannot be written.
        """
        others = sorted(path.name for path in folder.iterdir() if path.name not in _FILES) if folder.is_dir() else ()
        if others or folder.is_file():
            raise GeorankerError(
                f"gallery {folder}: {', '.join(others[:3]) or 'a file'} is there; name a folder of the gallery's own"
            )
        check_writable(folder)

    def save(self, folder: Path) -> None:
        """Write the gallery, whole or not at all, in the place of an older one.

        Raises:
            GeorankerError: as for `check_place`.
        """
        self.check_place(folder)
        with folder_beside(folder) as part:
            np.save(part / "embeddings.npy", np.asarray(self.embeddings, np.float32))
            np.save(part / "location_embeddings.npy", np.asarray(self.location_embeddings, np.float32))
            pq.write_table(pa.table(self._places, _PLACES), part / "places.parquet")
            if self.looks is not None:
                np.save(part / _LOOKS, self.looks)
            head = {"version": FORMAT_VERSION, "retriever": self.fingerprint, "contents": self._contents(part)}
            (part / "gallery.json").write_text(json.dumps(head))
        self.folder = folder

    def _contents(self, folder: Path) -> str:
        """Return what tells these rows from others, at any size at once: a hash of all places and of some vectors."""
        with (folder / "places.parquet").open("rb") as places:
            digest = hashlib.file_digest(places, "sha256")
        for vectors in (self.embeddings, self.location_embeddings):
            some = np.ascontiguousarray(vectors[:: max(1, len(vectors) // _HASHED)], np.float32)
            digest.update(f"{vectors.shape}".encode() + some.tobytes())
        return digest.hexdigest()[:16]

    @classmethod
    def load(cls, folder: Path, photo_source: PhotoSource | None = None) -> Self:
        """Open a gallery; its vectors are memory-mapped.

        Raises:
            GeorankerError: a file is missing, unreadable or of another version, the files differ in length, or a place
                does not exist.
        """
        try:
            head = json.loads((folder / "gallery.json").read_text())
            gallery = cls(head["retriever"], photo_source)
            gallery.embeddings = np.load(folder / "embeddings.npy", mmap_mode="r", allow_pickle=False)
            gallery.location_embeddings = np.load(folder / "location_embeddings.npy", mmap_mode="r", allow_pickle=False)
            if (folder / _LOOKS).exists():
                gallery.looks = np.load(folder / _LOOKS, allow_pickle=False)
            gallery._places = pq.read_table(folder / "places.parquet").select(_COLUMNS).cast(_PLACES).to_pydict()
            shapes = gallery.embeddings.ndim, gallery.location_embeddings.ndim, head["version"]
        except Exception as error:  # numpy gives a header to Python's parser, which may raise anything of a damaged one
            reason = " ".join(str(error).split())
            raise GeorankerError(
                f"gallery {folder}: cannot be read ({reason}); build it with `georanker index`"
            ) from error
        if gallery.looks is not None and not _are_looks(gallery.looks):
            raise GeorankerError(f"gallery {folder}: looks.npy holds no looks; build it again with `georanker index`")
        if shapes != (2, 2, FORMAT_VERSION):
            raise GeorankerError(f"gallery {folder}: another format version; build it again with `georanker index`")
        sizes = (len(gallery), len(gallery.embeddings), len(gallery.location_embeddings))
        if len(set(sizes)) > 1:
            raise GeorankerError(
                f"gallery {folder}: places.parquet has {sizes[0]} rows, embeddings.npy {sizes[1]} and "
                f"location_embeddings.npy {sizes[2]}; build it again with `georanker index`"
            )
        for name, limit in LIMITS.items():
            values = np.array(gallery._places[name], np.float64)  # None becomes NaN
            for row in np.flatnonzero(~(np.abs(values) <= limit))[:1]:
                raise GeorankerError(
                    f"gallery {folder}, places.parquet, row {row}: {name} {values[row]:.12g} is outside "
                    f"[-{limit:g}, {limit:g}] degrees"
                )
        gallery.folder = folder
        return gallery


def _are_looks(looks: np.ndarray) -> bool:
    numbers = looks.ndim == 2 and looks.shape[1] == COUNT and len(looks) > 0 and looks.dtype.kind == "f"
    return numbers and bool(np.isfinite(looks).all())


def _check_finite(photos: Sequence[Photo], vectors: np.ndarray) -> None:
    for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1))[:1]:
        raise GeorankerError(
            f"photo {photos[row].id}: its vector holds a number that is not finite; the retriever's weights may be lost"
        )
