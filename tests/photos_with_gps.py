"""Photos that say where they were taken, written by Pillow, or byte by byte where Pillow would refuse."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from fractions import Fraction

from PIL import ExifTags, Image
from PIL.ExifTags import GPS
from PIL.TiffImagePlugin import IFDRational

ASCII, RATIONAL, UNDEFINED, SIGNED_RATIONAL, FLOAT, DOUBLE = 2, 5, 7, 10, 11, 12
_PACKED = {RATIONAL: "<2I", SIGNED_RATIONAL: "<2i", FLOAT: "<f", DOUBLE: "<d"}
_SIZE = {ASCII: 1, UNDEFINED: 1, RATIONAL: 8, SIGNED_RATIONAL: 8, FLOAT: 4, DOUBLE: 8}

Entry = tuple[int, bytes | list[float] | list[tuple[int, int]]]
"""A type of the TIFF standard, and what is written: bytes, numbers, or fractions."""


def picture(file_format: str = "JPEG", exif: Image.Exif | bytes | None = None, grey: int = 127) -> bytes:
    """A small photo, with or without EXIF."""
    file = io.BytesIO()
    Image.new("RGB", (24, 16), (grey, grey, 255 - grey)).save(file, file_format, **({"exif": exif} if exif else {}))
    return file.getvalue()


def gps_block(latitude: float, longitude: float) -> dict[int, object]:
    """The block of a camera: whole degrees and minutes, seconds to a millionth."""
    block: dict[int, object] = {GPS.GPSVersionID: b"\2\3\0\0"}
    for tag, ref, value, letters in (
        (GPS.GPSLatitude, GPS.GPSLatitudeRef, latitude, "NS"),
        (GPS.GPSLongitude, GPS.GPSLongitudeRef, longitude, "EW"),
    ):
        microseconds = round(Fraction(abs(value)) * 3_600_000_000)
        minutes, microseconds = divmod(microseconds, 60_000_000)
        parts = (*divmod(minutes, 60), Fraction(microseconds, 1_000_000))
        block[tag] = tuple(IFDRational(Fraction(part)) for part in parts)
        block[ref] = letters[value < 0]
    return block


def photo_at(latitude: float, longitude: float, file_format: str = "JPEG", grey: int = 127) -> bytes:
    """A photo with a place, as Pillow writes it."""
    return photo_with(gps_block(latitude, longitude), file_format, grey)


def photo_with(block: Mapping[int, object], file_format: str = "JPEG", grey: int = 127) -> bytes:
    """A photo with any block that Pillow can write."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(block)
    exif[ExifTags.IFD.GPSInfo] = exif.get_ifd(ExifTags.IFD.GPSInfo)  # without it, a TIFF is written without the block
    return picture(file_format, exif, grey)


def photo_of_entries(entries: Mapping[int, Entry]) -> bytes:
    """A JPEG whose GPS block is written here, entry by entry, in the types that are asked for."""
    block, values = struct.pack("<H", len(entries)), b""
    start = 26 + 2 + 12 * len(entries) + 4
    for tag, (kind, content) in sorted(entries.items()):
        data = content if isinstance(content, bytes) else b"".join(_packed(kind, number) for number in content)
        count = len(data) // _SIZE[kind]
        if len(data) <= 4:
            block += struct.pack("<HHI4s", tag, kind, count, data)
        else:
            block += struct.pack("<HHII", tag, kind, count, start + len(values))
            values += data
    head = b"II*\0" + struct.pack("<IHHHIII", 8, 1, ExifTags.IFD.GPSInfo, 4, 1, 26, 0)
    tiff = head + block + struct.pack("<I", 0) + values
    return picture(exif=b"Exif\0\0" + tiff)


def _packed(kind: int, number: float | tuple[int, int]) -> bytes:
    return struct.pack(_PACKED[kind], *(number if isinstance(number, tuple) else (number,)))
