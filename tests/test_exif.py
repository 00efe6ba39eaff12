"""Places are read from EXIF in every form that writers use, and what cannot be is unknown."""

from __future__ import annotations

import io
import logging
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import GPS

from georanker.exif import gps, read_gps
from georanker.types import GeorankerError, Place
from tests.photos_with_gps import (
    ASCII,
    DOUBLE,
    FLOAT,
    RATIONAL,
    SIGNED_RATIONAL,
    UNDEFINED,
    Entry,
    gps_block,
    photo_at,
    photo_of_entries,
    photo_with,
    picture,
)

HEMISPHERES = [(48.8584, 2.2945), (-33.856784, 151.215297), (40.689249, -74.0445), (-22.951916, -43.210487)]
MICROSECOND = 1 / 3_600_000_000
"""Degrees in a millionth of a second of arc, to which the rationals of `gps_block` round."""


def near(found: Place | None, latitude: float, longitude: float, degrees: float = MICROSECOND) -> bool:
    return (
        found is not None
        and abs(found.latitude - latitude) <= degrees
        and abs(found.longitude - longitude) <= degrees
        and found.names == ()
    )


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("place", HEMISPHERES)
def test_four_hemispheres_in_each_format(place: tuple[float, float], file_format: str) -> None:
    photo = photo_at(*place, file_format)
    assert near(gps(photo), *place)
    with Image.open(io.BytesIO(photo)) as image:
        assert near(gps(image), *place)


@given(st.floats(-90, 90), st.floats(-180, 180))
@example(90.0, 180.0)
@example(-90.0, -180.0)
@example(-1e-9, 59.99999999999)
@settings(deadline=None)
def test_any_place_comes_back(latitude: float, longitude: float) -> None:
    if max(abs(latitude), abs(longitude)) < MICROSECOND:
        return  # 0, 0 stands for unknown
    assert near(read_gps(photo_at(latitude, longitude)), latitude, longitude)


def entries(latitude: Entry, longitude: Entry | None = None, refs: tuple[Entry, Entry] | None = None) -> bytes:
    south, west = refs or ((ASCII, b"S\0"), (ASCII, b"W\0"))
    west_longitude = longitude or (RATIONAL, [(43, 1), (12, 1), (377532, 10000)])
    return photo_of_entries(
        {
            GPS.GPSLatitude: latitude,
            GPS.GPSLongitude: west_longitude,
            GPS.GPSLatitudeRef: south,
            GPS.GPSLongitudeRef: west,
        }
    )


RIO = (RATIONAL, [(22, 1), (57, 1), (68976, 10000)])


@pytest.mark.parametrize(
    "latitude",
    [
        RIO,
        (SIGNED_RATIONAL, [(22, 1), (57, 1), (68976, 10000)]),
        (DOUBLE, [22.0, 57.0, 6.8976]),
        (DOUBLE, [22.951916]),
        (FLOAT, [22.951916]),
        (RATIONAL, [(22951916, 1000000)]),
        (RATIONAL, [(22, 1), (5711496, 100000), (0, 1)]),
        (RATIONAL, [(22951916, 1000000), (0, 1), (0, 1)]),
        (RATIONAL, [(22, 1), (5711496, 100000)]),
    ],
)
def test_forms_of_numbers(latitude: Entry) -> None:
    assert near(read_gps(entries(latitude)), -22.951916, -43.210487, 1e-6)


@pytest.mark.parametrize("ref", [(ASCII, b"S\0"), (ASCII, b"s\0"), (UNDEFINED, b"S\0"), (ASCII, b"South\0")])
def test_forms_of_hemispheres(ref: Entry) -> None:
    assert near(read_gps(entries(RIO, refs=(ref, (UNDEFINED, b"W")))), -22.951916, -43.210487)


def test_rounding_up_to_sixty_is_no_fault() -> None:
    assert near(read_gps(entries((RATIONAL, [(22, 1), (59, 1), (60, 1)]))), -23.0, -43.210487)


BROKEN: dict[str, tuple[bytes, str]] = {
    "no letter": (entries(RIO, refs=((ASCII, b"\0"), (ASCII, b"W\0"))), "GPSLatitude has no hemisphere"),
    "another letter": (entries(RIO, refs=((ASCII, b"E\0"), (ASCII, b"W\0"))), "GPSLatitudeRef is 'E'"),
    "no ref": (photo_with({k: v for k, v in gps_block(1, 2).items() if k != GPS.GPSLongitudeRef}), "Ref is missing"),
    "one coordinate": (photo_with({k: v for k, v in gps_block(1, 2).items() if k < 3}), "GPSLongitude is missing"),
    "text": (entries((ASCII, b"22.951916\0")), "GPSLatitude is '22.951916'"),
    "zero over zero": (entries((RATIONAL, [(22, 1), (57, 1), (0, 0)])), "each number must be finite"),
    "a zero below": (entries((RATIONAL, [(22, 0), (57, 1), (0, 1)])), "each number must be finite"),
    "not a number": (entries((DOUBLE, [math.nan])), "each number must be finite"),
    "endless": (entries((DOUBLE, [math.inf])), "each number must be finite"),
    "negative": (entries((SIGNED_RATIONAL, [(-22, 1), (57, 1), (0, 1)])), "at least 0"),
    "too many minutes": (entries((RATIONAL, [(22, 1), (61, 1), (0, 1)])), "end at 60"),
    "twice the fraction": (entries((RATIONAL, [(22951916, 1000000), (57, 1), (7, 1)])), "another one below"),
    "four numbers": (entries((RATIONAL, [(22, 1)] * 4)), "not degrees, minutes and seconds"),
    "beyond the pole": (entries((RATIONAL, [(91, 1)])), r"latitude -91 is outside \[-90, 90\]"),
    "around the world": (entries(RIO, (RATIONAL, [(181, 1)])), r"longitude -181 is outside \[-180, 180\]"),
    "nowhere": (photo_at(0.0, 0.0), "0, 0"),
    "another datum": (photo_with(gps_block(1, 2) | {GPS.GPSMapDatum: "TOKYO"}), "TOKYO, not WGS-84"),
    "no fix": (photo_with(gps_block(1, 2) | {GPS.GPSStatus: "V"}), "had no position"),
    "not an image": (b"text", "not an image"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_is_unknown_and_told(name: str, caplog: pytest.LogCaptureFixture) -> None:
    photo, complaint = BROKEN[name]
    with pytest.raises(GeorankerError, match=complaint):
        read_gps(photo)
    with caplog.at_level(logging.WARNING, "georanker"):
        assert gps(photo) is None
    assert "unknown" in caplog.text


def test_what_is_sound_beside_the_position_does_not_matter() -> None:
    for datum in ("WGS-84", "WGS84", "wgs 84", "WGS 1984", ""):
        assert near(read_gps(photo_with(gps_block(1, 2) | {GPS.GPSMapDatum: datum, GPS.GPSStatus: "A"})), 1, 2)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "BMP", "GIF", "PPM"])
def test_photos_that_say_nothing(file_format: str, caplog: pytest.LogCaptureFixture) -> None:
    assert gps(picture(file_format)) is None
    assert gps(photo_with({GPS.GPSVersionID: b"\2\3\0\0"})) is None
    assert caplog.text == ""


def test_a_block_cut_short_never_becomes_another_place() -> None:
    photo = photo_at(*HEMISPHERES[1])
    start = photo.index(b"Exif\0\0")
    length = int.from_bytes(photo[start - 2 : start], "big") - 2
    for kept in range(8, length):
        exif = photo[start : start + kept]
        found = gps(picture(exif=exif))
        assert found is None or near(found, *HEMISPHERES[1])


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_noise_in_the_block_raises_nothing(noise: bytes) -> None:
    head = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x25\x88\x04\0\x01\0\0\0\x1a\0\0\0\0\0\0\0"
    gps(picture(exif=head + noise))
