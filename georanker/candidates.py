"""The candidates file, where retrieval and ranking meet: parquet, one row a photo, list columns for its candidates.

Either half can be swapped, cached, resumed or shared, because the other one sees nothing but this file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from georanker.candidate_table import SCHEMA, CandidateTable
from georanker.rows import write_rows
from georanker.types import Candidate, CandidateList, GeorankerError, PhotoSource

FORMAT_VERSION = 1
_METADATA = b"georanker.candidates"


def write_candidates(
    path: Path, lists: Iterable[CandidateList], retriever: str, gallery: Path | None, attribution: str = ""
) -> int:
    """Write lists as they come, with memory that does not grow with their number.

    Args:
        path: the file to write, whole or not at all.
        lists: from a retriever, in the order of the photos.
        retriever: the fingerprint of the retriever.
        gallery: the folder that `gallery_row` counts in; kept relative to the file, so that both can move together.
        attribution: whom the names of places come from, for the file's metadata; "" where nobody must be named.

    Returns:
        How many lists were written.
    """
    relative = Path(os.path.relpath(gallery.absolute(), path.parent.absolute())).as_posix() if gallery else ""
    contents = _gallery_head(gallery).get("contents") if gallery else None
    metadata = {"version": FORMAT_VERSION, "retriever": retriever, "gallery": relative, "contents": contents}
    if attribution:
        metadata["attribution"] = attribution
    schema = SCHEMA.with_metadata({_METADATA: json.dumps(metadata).encode()})
    return write_rows(path, schema, map(_row, lists))


def _row(found: CandidateList) -> dict[str, object]:
    place = found.photo.place
    return {
        "photo_id": found.photo.id,
        "latitude": place.latitude if place else None,
        "longitude": place.longitude if place else None,
        "embedding": found.embedding,
        "candidates": [_struct(candidate) for candidate in found.candidates],
        "negatives": [_struct(candidate) for candidate in found.negatives],
    }


def _struct(candidate: Candidate) -> dict[str, object]:
    place = candidate.place
    return {
        "photo_id": candidate.photo.id if candidate.photo else None,
        "gallery_row": candidate.gallery_row,
        "latitude": place.latitude,
        "longitude": place.longitude,
        "score": candidate.score,
        "source": candidate.source,
        "city": place.city,
        "state": place.state,
        "country": place.country,
    }


class CandidatesFile(CandidateTable):
    """A candidates file that is open for reading; lists are made when they are asked for.

    Args:
        path: the file.
        photo_source: holds the bytes of the photos.
        gallery_source: holds the bytes of the candidates' photos.

    Raises:
        GeorankerError: the file is missing, cut short or of another format, or a row holds what cannot be: a place that
            does not exist, a score that is not a number, an empty list, a vector of another length than the others.
    """

    def __init__(
        self, path: Path, photo_source: PhotoSource | None = None, gallery_source: PhotoSource | None = None
    ) -> None:
        self._arguments = (path, photo_source, gallery_source)
        self.path = path
        try:
            table = pq.read_table(path)
            table.validate(full=True)  # arrow itself takes text that is not UTF-8
            metadata = json.loads((table.schema.metadata or {})[_METADATA])
        except FileNotFoundError as error:
            fix = "make it with `georanker retrieve`, or leave data.candidates out"
            raise GeorankerError(f"candidates file {path}: not there; {fix}") from error
        except KeyError as error:
            raise GeorankerError(f"candidates file {path}: not written by `georanker retrieve`") from error
        except (OSError, ValueError, pa.ArrowException) as error:
            fix = "make it again with `georanker retrieve`"
            raise GeorankerError(f"candidates file {path}: cannot be read ({error}); {fix}") from error
        head = metadata if isinstance(metadata, dict) else {}
        version, retriever, found = (head.get(name) for name in ("version", "retriever", "gallery"))
        if not (isinstance(retriever, str) and isinstance(found, str)):
            version = None
        if version != FORMAT_VERSION or not table.schema.equals(SCHEMA):
            raise GeorankerError(f"candidates file {path}: another format version; write it again")
        self.retriever, self.attribution = str(retriever), str(head.get("attribution", ""))
        gallery = os.path.normpath(path.parent / found) if found else ""
        _check_gallery(path, gallery, self.retriever, head.get("contents"))
        super().__init__(table, f"candidates file {path}", photo_source, gallery_source, gallery)

    def __reduce__(self) -> tuple[type, tuple[Path, PhotoSource | None, PhotoSource | None]]:
        return type(self), self._arguments  # a spawned worker opens the file itself

    def fingerprint(self) -> str:
        """Return what tells these lists from others: a hash of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _gallery_head(gallery: Path) -> dict[str, object]:
    """Return what a gallery says of itself; nothing if it is not there."""
    path = gallery / "gallery.json"
    if not path.exists():
        return {}
    try:
        head = json.loads(path.read_text())
        return {"contents": None, **head, "retriever": head["retriever"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GeorankerError(
            f"{path}: cannot be read ({error}); make the gallery again with `georanker index`"
        ) from error


def _check_gallery(path: Path, gallery: str, retriever: str, contents: object) -> None:
    """Raise if the gallery was built again, by another retriever or over other photos: its rows hold others now."""
    head = _gallery_head(Path(gallery)) if gallery else {}
    if not head:
        return
    known = contents and head["contents"]  # files of before it was written down are told apart by the retriever alone
    if head["retriever"] != retriever or (known and head["contents"] != contents):
        how = "by another retriever" if head["retriever"] != retriever else "with other photos or vectors"
        raise GeorankerError(
            f"candidates file {path}: gallery {gallery} was built again {how}; retrieve again with `georanker retrieve`"
        )
