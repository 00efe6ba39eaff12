"""One photo in, a place on a map out."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, overload

import numpy as np
import torch

from georanker.checkpoint import load_module
from georanker.exif import read_gps
from georanker.files import write_text
from georanker.gazetteer import gazetteer
from georanker.hub import fetch, upload
from georanker.localizing.calibration import Calibration, agreement
from georanker.localizing.localized import Localized
from georanker.localizing.localized_photos import LocalizedPhotos
from georanker.localizing.model_card import Provenance, model_card
from georanker.localizing.photo_inputs import PhotoLike, is_one, photos_of
from georanker.localizing.run_folder import RunPhotos, check_run, list_lengths, remembered_data
from georanker.localizing.trust import Trust
from georanker.localizing.words import from_answer_km
from georanker.looks import UsualLooks, looks
from georanker.pretrained import read_yaml, write_yaml
from georanker.ranker import Ranker
from georanker.retrievers.base import Retriever
from georanker.retrievers.gallery import Gallery
from georanker.types import (
    CandidateList,
    GeorankerError,
    Localization,
    Photo,
    PhotoBatch,
    PhotoSource,
    Place,
)

if TYPE_CHECKING:
    from PIL import Image

CONFIG = "localizer.yaml"
FORMAT_VERSION = 1
Failed = Callable[[Photo, GeorankerError], None]


class Localizer:
    """Says where photos were taken: a retriever finds candidates in a gallery, and a ranker orders them.

    Args:
        retriever: turns photos into vectors.
        gallery: an index that this retriever made, in a folder.
        ranker: orders candidates.
        candidates: how many the ranker reads for each photo; take what it was trained with.
        negatives: the places that follow the candidates, for a ranker whose prompt names them; the same.
        batch_size: photos that are worked on together.
        calibration: what held-out photos said about how sure an answer is; None for nothing.
        provenance: where all this comes from, for the model card.

    Raises:
        GeorankerError: the gallery lies in memory only, or was made by another retriever.

    >>> from georanker import Localizer
    >>> localizer = Localizer.from_run("runs/demo")  # doctest: +SKIP
    >>> print(localizer.localize("photo.jpg"))  # doctest: +SKIP
    """

    def __init__(
        self,
        retriever: Retriever,
        gallery: Gallery,
        ranker: Ranker,
        candidates: int = 20,
        negatives: int = 5,
        batch_size: int = 16,
        calibration: Calibration | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        if min(candidates, batch_size) < 1:
            raise GeorankerError(f"candidates and batch_size must be at least 1, not {candidates} and {batch_size}")
        if negatives < 0:
            raise GeorankerError(f"negatives must be at least 0, not {negatives}")
        if gallery.folder is None:
            raise GeorankerError("the gallery lies in memory only; call gallery.save(folder), since rankers read there")
        gallery.check_fingerprint(retriever.fingerprint())
        self.retriever, self.gallery, self.ranker = retriever.eval(), gallery, ranker.eval()
        self.candidates, self.negatives, self.batch_size = candidates, negatives, batch_size
        self.calibration, self.provenance = calibration or Calibration(), provenance or Provenance()
        self._usual = None if gallery.looks is None else UsualLooks(gallery.looks)

    @classmethod
    def from_run(cls, run: str | Path, photo_source: PhotoSource | None = None) -> Self:
        """Open what a run has trained.

        Args:
            run: the folder of `georanker demo`, with retriever.ckpt, gallery/ and ranker.ckpt. Where the run's
                candidates and predictions are there as well, they tell how sure an answer is.
            photo_source: holds the gallery's photos, for a ranker that looks at them; None for where the run had them.

        Raises:
            GeorankerError: it is no such folder, a part is missing, or the parts do not belong together.
        """
        folder = Path(run).absolute()  # of a gallery, the ranker's collator keeps the path
        check_run(folder, str(run))
        retriever = load_module(folder / "retriever.ckpt", Retriever, "retriever")  # type: ignore[type-abstract]
        gallery = Gallery.load(folder / "gallery", photo_source)
        ranker = load_module(folder / "ranker.ckpt", Ranker, "ranker")
        data = remembered_data(folder / "ranker.ckpt")
        candidates, negatives = list_lengths(folder / "candidates" / "test.parquet")
        return cls(
            retriever,
            gallery,
            ranker,
            candidates,
            negatives,
            calibration=Calibration.from_run(folder),
            provenance=Provenance.from_run(folder, data),
        )

    @classmethod
    def from_pretrained(cls, source: str | Path, photo_source: PhotoSource | None = None) -> Self:
        """Open what `save_pretrained` wrote.

        Args:
            source: the folder, or a hub's id.
            photo_source: holds the gallery's photos, for a ranker that looks at them; None for where the run had them.

        Raises:
            GeorankerError: it is no such folder, or a part of it does not fit.
        """
        folder = fetch(source).absolute()
        path = folder / CONFIG
        settings = read_yaml(path)
        if not isinstance(settings, dict) or settings.get("version") != FORMAT_VERSION:
            raise GeorankerError(f"{path}: not what `save_pretrained` writes, or by another version of georanker")
        try:
            calibration = Calibration.from_dict(settings.get("calibration", {}))
            provenance = Provenance.from_dict(settings.get("provenance", {}))
            candidates, negatives = (_whole(settings, name) for name in ("candidates", "negatives"))
        except GeorankerError as error:
            raise GeorankerError(f"{path}: {error}") from error
        device = "cuda" if torch.cuda.is_available() else "cpu"
        retriever = Retriever.from_pretrained(folder).to(device)
        ranker = Ranker.from_pretrained(folder).to(device)
        gallery = Gallery.load(folder / "gallery", photo_source)
        return cls(retriever, gallery, ranker, candidates, negatives, calibration=calibration, provenance=provenance)

    def save_pretrained(self, folder: str | Path, name: str | None = None) -> None:
        """Write retriever, gallery and ranker for `from_pretrained`, and a model card.

        `Retriever.from_pretrained` and `Ranker.from_pretrained` read the same folder. Nothing in it can run code.

        Args:
            folder: other files in it stay, but for a README.md, which becomes the model card.
            name: what the model card calls it, such as a hub's id; None for the folder.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GeorankerError(f"{folder}: cannot be made ({error.strerror}); name a folder") from error
        (folder / CONFIG).unlink(missing_ok=True)  # what a kill leaves is told from what is whole
        self.retriever.save_pretrained(folder)
        self.ranker.save_pretrained(folder)
        copy.copy(self.gallery).save(folder / "gallery")  # of the copy, which alone takes its new folder for its own
        parts = {
            "retriever": f"{type(self.retriever).__name__}, {_millions(self.retriever)}",
            "gallery": f"{len(self.gallery):,} places",
            "ranker": f"{type(self.ranker.backbone).__name__}, {_millions(self.ranker)}",
            "candidates per photo": str(self.candidates),
        }
        card = model_card(self.provenance, parts, name or str(folder), self.calibration.photos)
        write_text(folder / "README.md", card)
        settings = {"version": FORMAT_VERSION, "candidates": self.candidates, "negatives": self.negatives}
        told = {"calibration": self.calibration.to_dict(), "provenance": self.provenance.to_dict()}
        write_yaml(folder / CONFIG, {**settings, **told})

    def push_to_hub(self, repo_id: str, private: bool = False, endpoint: str | None = None) -> str:
        """Upload what `save_pretrained` writes.

        The token that may write is taken from the environment, HF_TOKEN, and is written nowhere.

        Args:
            repo_id: such as "name/model"; it is made if it is not there.
            private: whether a repository that is made can only be seen by its owner.
            endpoint: the hub's address; None for HF_ENDPOINT, or huggingface.co.

        Returns:
            The address of the commit.

        Raises:
            GeorankerError: there is no token, or the hub refuses.
        """
        return upload(lambda folder: self.save_pretrained(folder, repo_id), repo_id, private, endpoint)

    @overload
    def localize(
        self, photos: bytes | Image.Image | np.ndarray | Photo, top_k: int = 5, failed: Failed | None = None
    ) -> Localized: ...

    @overload
    def localize(  # type: ignore[overload-overlap]  # a str is a sequence of str, too
        self, photos: str | Path, top_k: int = 5, failed: Failed | None = None
    ) -> Localized | LocalizedPhotos: ...

    @overload
    def localize(
        self, photos: Sequence[PhotoLike], top_k: int = 5, failed: Failed | None = None
    ) -> LocalizedPhotos: ...

    def localize(
        self, photos: PhotoLike | Sequence[PhotoLike], top_k: int = 5, failed: Failed | None = None
    ) -> Localized | LocalizedPhotos:
        """Say where photos were taken.

        What their EXIF says of the place is shown beside the answers, and never used for them.

        Args:
            photos: a path, encoded bytes, an image of Pillow or a uint8 array of RGB, RGBA or grey; or a list of
                these, a folder or a glob.
            top_k: candidates that an answer shows.
            failed: called with each photo that cannot be read and why, after which the others go on; None raises.

        Returns:
            An answer for one photo, and the answers in order for a list, a folder or a glob.

        Raises:
            GeorankerError: there are no photos, or one cannot be read and `failed` is None.
        """
        found = photos_of(photos)
        if is_one(photos):
            (answer,) = self.stream(found, top_k)
            return answer
        return LocalizedPhotos(list(self.stream(found, top_k, failed)))

    def stream(self, photos: Sequence[Photo], top_k: int = 5, failed: Failed | None = None) -> Iterator[Localized]:
        """Yield the answers in order, with memory that does not grow with their number; see `localize`."""
        from rich.console import Console
        from rich.progress import track

        if top_k < 1:
            raise GeorankerError(f"top_k must be at least 1, not {top_k}")
        self._find_gallery_photos()
        starts = range(0, len(photos), self.batch_size)
        many = track(
            starts,
            f"Localizing {len(photos):,} photos",
            transient=True,
            disable=len(starts) < 3,
            console=Console(stderr=True),
        )
        for start in many:
            yield from self._answers(photos[start : start + self.batch_size], top_k, failed)

    def _answers(self, photos: Sequence[Photo], top_k: int, failed: Failed | None) -> list[Localized]:
        photos, batch = self._read(photos, failed)
        if batch is None:
            return []
        with torch.inference_mode():
            vectors = self.retriever.embed_photos(batch.to(self.retriever.device)).float().cpu().numpy()
        asked = [_placeless(photo) for photo in photos]
        found = self.gallery.search(asked, vectors, self.candidates, self.negatives)
        lists = list(gazetteer().named_lists(found))
        shares = [None] * len(photos) if self._usual is None else self._usual.share_odder(looks(batch.pixels).numpy())
        rows = zip(photos, lists, self.ranker.rank(lists), shares, strict=True)
        answers = [self._answer(*row) for row in rows]
        return [replace(answer, candidates=answer.ranked[:top_k]) for answer in answers]

    def _read(self, photos: Sequence[Photo], failed: Failed | None) -> tuple[Sequence[Photo], PhotoBatch | None]:
        """Decode photos together; if that fails one by one, to find those that cannot be read."""
        collator = self.retriever.collator
        try:
            return photos, collator([_placeless(photo) for photo in photos])
        except GeorankerError:
            if failed is None:
                raise
        kept: list[Photo] = []
        for photo in photos:
            try:
                collator([_placeless(photo)])
            except GeorankerError as error:
                failed(photo, error)
            else:
                kept.append(photo)
        return kept, collator([_placeless(photo) for photo in kept]) if kept else None

    def _answer(self, photo: Photo, found: CandidateList, answer: Localization, odd: float | None) -> Localized:
        ranked = answer.candidates
        share = agreement(np.array([each.score for each in ranked]), from_answer_km([each.place for each in ranked]))
        similar = self.calibration.share_less_similar(found.candidates[0].score)
        trust = Trust(share, self.calibration.share_right(share), None if odd is None else float(odd), similar)
        truth = photo.place or _exif_place(photo)
        error_km = None if truth is None else float(from_answer_km([answer.place, truth])[1])
        return Localized(replace(photo, place=truth), ranked, answer.retrieved, error_km, trust=trust, ranked=ranked)

    def _find_gallery_photos(self) -> None:
        """See that a ranker that looks at the gallery's photos has them, from the run's own benchmark if need be."""
        if self.gallery.photo_source is not None or not len(self.gallery):
            return
        source = RunPhotos(self.provenance.data)
        first = self.gallery.candidate(0, 0.0)
        assert first.photo is not None
        if self.ranker.collator.gallery_photos(CandidateList(Photo("probe"), (first,))):
            try:
                source.read(first.photo.id)  # one that is not there would only be warned of later
            except GeorankerError as error:
                raise GeorankerError(
                    f"this ranker looks at the gallery's photos, and the run does not say where they are ({error}); "
                    "name --gallery_photos, or photo_source in Python, such as georanker.stores.FolderStore(folder)"
                ) from error
        self.gallery.photo_source = source


def _whole(settings: Mapping[str, object], name: str) -> int:
    number = settings.get(name)
    if not isinstance(number, int):
        raise GeorankerError(f"{name} must be a whole number, not {number!r}")
    return number


def _placeless(photo: Photo) -> Photo:
    """Hide where a photo was taken, so that no part can learn of it."""
    return replace(photo, place=None)


def _exif_place(photo: Photo) -> Place | None:
    assert photo.source is not None  # or it would not have been decoded
    try:
        return read_gps(photo.source.read(photo.id))
    except GeorankerError as error:
        logging.getLogger("georanker").warning("photo %s: %s; shown without its own place", photo.id, error)
        return None


def _millions(module: torch.nn.Module) -> str:
    return f"{sum(weight.numel() for weight in module.parameters()) / 1e6:.1f} million weights"
