"""Where a photo says that it was taken: the GPS block of its EXIF.

Phones and cameras write degrees, minutes and seconds as positive numbers, and the hemisphere as a letter beside them.
What is missing or contradicts itself is a fault and never a guess: a photo without its S would lie in the wrong
half of the world.
"""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from georanker.types import GeorankerError, Place, photo_formats

if TYPE_CHECKING:
    from PIL import Image


def gps(photo: bytes | Path | Image.Image) -> Place | None:
    """Return where a photo was taken by its EXIF; None where it does not say so, or where what it says cannot be.

    Args:
        photo: an encoded image, its file, or an image that Pillow has opened.

    Returns:
        The place in all four hemispheres, without names. Of what cannot be, a warning tells why.
    """
    try:
        return read_gps(photo)
    except GeorankerError as error:
        logging.getLogger("georanker").warning("a photo's place is taken as unknown: %s", error)
        return None


def read_gps(photo: bytes | Path | Image.Image) -> Place | None:
    """Return where a photo was taken by its EXIF; None where it does not say so.

    Args:
        photo: an encoded image, its file, or an image that Pillow has opened.

    Raises:
        GeorankerError: not an image; or its GPS block is damaged, lacks a hemisphere, contradicts itself, counts in
            another datum than WGS84, was written without a position, or names no place of the Earth.
    """
    from PIL import ExifTags, Image, UnidentifiedImageError

    with warnings.catch_warnings(record=True) as damage:  # Pillow warns of entries that it cannot read, and goes on
        warnings.simplefilter("always")
        try:
            if isinstance(photo, Image.Image):
                block = photo.getexif().get_ifd(ExifTags.IFD.GPSInfo)
            else:
                with Image.open(
                    photo if isinstance(photo, Path) else io.BytesIO(photo), formats=photo_formats()
                ) as image:
                    block = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        except UnidentifiedImageError as error:
            raise GeorankerError("not an image") from error
        except Exception as error:  # a decoder that meets a damaged file may raise anything
            raise GeorankerError(f"the photo's EXIF cannot be read ({error})") from error
    if not block.keys() & {ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLongitude}:
        if any("EXIF" in str(warning.message) for warning in damage):
            raise GeorankerError("the photo's EXIF is cut short")
        return None
    _check_fix(block)
    latitude = _degrees(block, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS")
    longitude = _degrees(block, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW")
    if latitude == longitude == 0:
        raise GeorankerError("EXIF GPS is 0, 0, which devices write when they do not know")
    try:
        return Place(latitude, longitude)
    except GeorankerError as error:
        raise GeorankerError(f"EXIF GPS: {error}") from error


def _check_fix(block: Mapping[int, object]) -> None:
    """Raise if the device did not know its position, or counts from another zero."""
    from PIL.ExifTags import GPS

    if _text(block.get(GPS.GPSStatus)) == "V":
        raise GeorankerError("EXIF GPSStatus is V: the device had no position")
    datum = _text(block.get(GPS.GPSMapDatum))
    if datum and not "".join(filter(str.isalnum, datum)).startswith(("WGS84", "WGS1984")):
        raise GeorankerError(f"EXIF GPSMapDatum is {datum}, not WGS-84")


def _degrees(block: Mapping[int, object], tag: int, ref_tag: int, hemispheres: str) -> float:
    """Return signed degrees: the numbers of `tag`, the sign of the letter in `ref_tag`."""
    from PIL.ExifTags import GPS

    name = GPS(tag).name
    value = block.get(tag)
    parts = value if isinstance(value, tuple) else () if value is None else (value,)
    try:
        numbers = [float(part) for part in parts if not isinstance(part, str | bytes)]
    except (TypeError, ValueError, ZeroDivisionError):
        numbers = []
    if not numbers or len(numbers) != len(parts) or len(numbers) > 3:
        raise GeorankerError(f"EXIF {name} is {_shown(value)}, not degrees, minutes and seconds")
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        raise GeorankerError(f"EXIF {name} is {_shown(value)}: each number must be finite and at least 0")
    if any(number > 60 for number in numbers[1:]):
        raise GeorankerError(f"EXIF {name} is {_shown(value)}: minutes and seconds end at 60")
    if any(number % 1 and any(numbers[at + 1 :]) for at, number in enumerate(numbers)):
        raise GeorankerError(f"EXIF {name} is {_shown(value)}: a broken number has another one below it")
    letter = _text(block.get(ref_tag))[:1]
    if not letter or letter not in hemispheres:
        raise GeorankerError(f"EXIF {name} has no hemisphere: {GPS(ref_tag).name} is {_shown(block.get(ref_tag))}")
    size = sum(number / 60.0**power for power, number in enumerate(numbers))
    return size if letter == hemispheres[0] else -size


def _text(value: object) -> str:
    """Return a letter or name as capitals; writers disagree on text, bytes and how it ends."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""
    return text.strip(" \0").upper()


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_shown(part) for part in value[:4])}{', ...' if len(value) > 4 else ''})"
    return repr(value)[:40] if isinstance(value, str | bytes) else "missing" if value is None else str(value)[:40]
