"""The vocabulary of georanker: what a photo is on its way from a file to a place on the map.

A `Photo` is given. A retriever finds the places that it may show: `Candidate`s, gathered in a `CandidateList`.
A backbone's collator turns several lists into one `RankingBatch`, a backbone turns that into scores, and the ranker
answers with a `Localization`: the best-scored candidate's place, and the whole list in its new order.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image
    from torch import Tensor


class GeorankerError(Exception):
    """A mistake in what the user gave: one line that names the file, row or field, and the fix."""


class NothingReadError(GeorankerError):
    """Not one photo could be read, so that what was answered is worth nothing."""


class PhotoSource(Protocol):
    """Where the bytes of photos come from: a folder, an archive, a renderer."""

    def read(self, photo_id: str) -> bytes:
        """Return the encoded image of `photo_id`, or raise GeorankerError if there is none."""
        ...


LIMITS = {"latitude": 90.0, "longitude": 180.0}
"""Degrees that no place lies beyond, north or south, east or west."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point of the Earth, WGS84, with the names it goes by.

    Raises:
        GeorankerError: a coordinate is NaN or out of range.
    """

    latitude: float
    """Degrees north, -90 to 90."""
    longitude: float
    """Degrees east, -180 to 180."""
    city: str = ""
    state: str = ""
    country: str = ""
    continent: str = ""

    def __post_init__(self) -> None:
        # `not <=` is also true for NaN, which would otherwise travel on as a silent number.
        if not -90.0 <= self.latitude <= 90.0:
            raise GeorankerError(f"latitude {self.latitude:.12g} is outside [-90, 90] degrees")
        if not -180.0 <= self.longitude <= 180.0:
            raise GeorankerError(f"longitude {self.longitude:.12g} is outside [-180, 180] degrees")

    @property
    def names(self) -> tuple[str, ...]:
        """City, state and country, without those that are unknown."""
        return tuple(name for name in (self.city, self.state, self.country) if name)

    def __str__(self) -> str:
        point = f"{self.latitude:.4f}, {self.longitude:.4f}"
        return f"{', '.join(self.names)} ({point})" if self.names else point


@dataclass(frozen=True, slots=True)
class Photo:
    """A reference to a photo; its bytes stay where they are until `load`."""

    id: str
    place: Place | None = None
    """Where it was taken, if that is known."""
    source: PhotoSource | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.id:
            raise GeorankerError("a photo's id is empty")

    def load(self) -> Image.Image:
        """Decode the photo: RGB, upright, 8 bits a channel; of an animation the first picture.

        Raises:
            GeorankerError: the photo cannot be read, is not an image, or has pixels whose range is not known.
        """
        import io

        from PIL import Image, ImageOps, UnidentifiedImageError

        if self.source is None:
            raise GeorankerError(
                f"photo {self.id}: no source holds its bytes; give the data a place to read photos from"
            )
        data = self.source.read(self.id)
        try:
            with Image.open(io.BytesIO(data), formats=photo_formats()) as image:
                if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):  # where Pillow only warns
                    raise Image.DecompressionBombError(
                        f"{image.width} x {image.height} pixels are more than Image.MAX_IMAGE_PIXELS"
                    )
                ImageOps.exif_transpose(image, in_place=True)
                pixels = _eight_bits(image, image.format)
                return pixels if pixels.mode == "RGB" else pixels.convert("RGB")  # which copies, even from RGB to RGB
        except UnidentifiedImageError as error:
            raise GeorankerError(f"photo {self.id}: not an image; {', '.join(photo_formats())} are read") from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise GeorankerError(f"photo {self.id}: cannot be decoded ({error}); make it smaller") from error
        except Exception as error:  # a decoder that meets a damaged file may raise anything
            raise GeorankerError(f"photo {self.id}: cannot be decoded ({error})") from error


_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")


@functools.cache
def photo_formats() -> tuple[str, ...]:
    """Return what is read as a photo, by Pillow's names, as far as this Pillow knows them.

    Of others it would give EPS to a program that does what the file says.
    """
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _eight_bits(image: Image.Image, file_format: str | None) -> Image.Image:
    """Bring an image to 8 bits a channel; Pillow alone would cut 16 bits off at 255, which is white nearly everywhere.

    Raises:
        ValueError: its pixels are 32 bits wide.
    """
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and file_format == "PPM"):
        return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are 32 bits wide, in a range that is not known; save it with 8 bits")
    # Palettes with transparency would warn on the direct way to RGB.
    return image.convert("RGBA") if image.has_transparency_data else image


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place where a photo may have been taken, and who proposed it."""

    place: Place
    score: float = 0.0
    """Higher is nearer: the retriever's score in a candidates file, the ranker's in a Localization."""
    photo: Photo | None = None
    """The gallery's photo of this place; None for a place that was guessed."""
    gallery_row: int | None = None
    """The row of the gallery that holds its vectors; None for a place that is not in the gallery."""
    source: str = "retrieved"

    def __post_init__(self) -> None:
        if math.isnan(self.score):
            raise GeorankerError(f"a candidate at {self.place} has the score NaN")
        if self.gallery_row is not None and self.gallery_row < 0:
            raise GeorankerError(f"gallery_row {self.gallery_row} is negative")


@dataclass(frozen=True, slots=True)
class CandidateList:
    """A photo and the places where it may have been taken, the retriever's first choice first.

    Raises:
        GeorankerError: there is no candidate.
    """

    photo: Photo
    candidates: tuple[Candidate, ...]
    negatives: tuple[Candidate, ...] = ()
    """Places that are like the photo and far from it; a prompt may name them."""
    embedding: np.ndarray | None = field(default=None, repr=False, compare=False)
    """(D,) the photo's vector in the retriever's space."""
    gallery: str = ""
    """The folder of the gallery that `gallery_row` counts in."""

    def __post_init__(self) -> None:
        if not self.candidates:
            raise GeorankerError(f"photo {self.photo.id}: its list of candidates is empty")

    def __len__(self) -> int:
        return len(self.candidates)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a collator makes of several photos; Lightning moves it through `to`, since it cannot move frozen classes."""

    photo_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.photo_ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Return the batch on another device."""
        import torch

        no_float64 = torch.device(device).type == "mps"

        def move(tensor: Tensor) -> Tensor:
            if no_float64 and tensor.dtype == torch.float64:
                tensor = tensor.float()
            return tensor.to(device, non_blocking=non_blocking)

        return self._mapped(move)

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        import torch

        changed: dict[str, Any] = {}
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if isinstance(value, torch.Tensor):
                changed[name] = change(value)
            elif isinstance(value, Mapping):
                changed[name] = {key: change(tensor) for key, tensor in value.items()}
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class PhotoBatch(Batch):
    """B photos as a retriever reads them."""

    pixels: Tensor
    """(B, 3, H, W) uint8."""
    places: Tensor
    """(B, 2) degrees, NaN where unknown."""


@dataclass(frozen=True, slots=True)
class RankingBatch(Batch):
    """B lists of up to K candidates as a backbone reads them; shorter lists are padded."""

    places: Tensor
    """(B, K, 2) float64 degrees of the candidates; NaN in padding."""
    truth: Tensor
    """(B, 2) float64 degrees, NaN where unknown."""
    distances_km: Tensor
    """(B, K) float64 geodesics from truth to candidate; NaN where unknown and in padding."""
    retrieval_scores: Tensor
    """(B, K) float32, higher is nearer; 0 in padding."""
    mask: Tensor
    """(B, K) bool, True where a candidate is real."""
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    """What the backbone's own collator adds."""
    lists: tuple[CandidateList, ...] = ()
    """The lists behind the rows, for answers that people read."""


class ListCollator(ABC):
    """Makes batches of candidate lists; data give any other collator photos. Picklable, without weights."""

    @abstractmethod
    def __call__(self, lists: Sequence[CandidateList]) -> RankingBatch:
        """Collate B lists, padded to the longest."""


@dataclass(frozen=True, slots=True)
class Localization:
    """The answer for one photo."""

    photo: Photo
    candidates: tuple[Candidate, ...]
    """All candidates with the ranker's scores, best first."""
    retrieved: Candidate
    """What the retriever alone would have answered."""
    error_km: float | None = None
    """Geodesic from the answer to the truth, where that is known."""

    @property
    def place(self) -> Place:
        """The answer."""
        return self.candidates[0].place

    @property
    def score(self) -> float:
        """The ranker's score of the answer."""
        return self.candidates[0].score

    def __str__(self) -> str:
        error = "" if self.error_km is None else f", {self.error_km:,.0f} km from the truth"
        return f"{self.photo.id}: {self.place}, score {self.score:.3f}{error}"
