"""Answers in words: every form in which a model may name a place, and what is none."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from georanker.generators.place_in_words import place_in_words

FORMS = [
    '{{"latitude": {0}, "longitude": {1}}}',
    '```json\n{{\n  "latitude": {0},\n  "longitude": {1}\n}}\n```',
    '{{"longitude": {1}, "latitude": {0}}}',
    "{{'lat': '{0}', 'lng': '{1}'}}",
    "**Latitude:** {0}°\n**Longitude:** {1}°",
    "The latitude is {0} and the longitude is about {1}.",
    "latitude of {0}, longitude of {1}",
    "lat={0}, lon={1}",
    "I first thought of latitude: 1.5, longitude: 2.5, but it is latitude: {0}, longitude: {1}",
    "My best guess: ({0}, {1})",
    "{0},{1}",
    "Not (10.5, 20.5), rather {0}, {1}",
]


@given(st.floats(-90, 90), st.floats(-180, 180), st.sampled_from(FORMS), st.integers(1, 8))
def test_a_place_is_found_in_each_form(latitude: float, longitude: float, form: str, decimals: int) -> None:
    latitude, longitude = round(latitude, decimals), round(longitude, decimals)
    assume((latitude, longitude) != (0.0, 0.0))
    found = place_in_words(form.format(f"{latitude:.{decimals}f}", f"{longitude:.{decimals}f}"))
    assert found is not None
    assert (found.latitude, found.longitude) == (latitude, longitude)


@given(st.floats(0.1, 90), st.floats(0.1, 180), st.sampled_from("NS"), st.sampled_from("EW"))
def test_letters_say_the_half_of_the_earth(latitude: float, longitude: float, north: str, east: str) -> None:
    expected = latitude * (1 if north == "N" else -1), longitude * (1 if east == "E" else -1)
    for form in ("{:.6f}° {}, {:.6f}° {}", "{:.6f} {} {:.6f} {}", "Latitude: {:.6f}° {}, Longitude: {:.6f}° {}"):
        found = place_in_words(form.format(latitude, north, longitude, east))
        assert found is not None
        assert (found.latitude, found.longitude) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Latitude: 40°42'46\"N, Longitude: 74°0'22\"W", (40.712778, -74.006111)),
        ("Latitude: 34°03' S, Longitude: 18°25' E", (-34.05, 18.416667)),
        ("Latitude: 33.86 South, Longitude: 151.21 East", (-33.86, 151.21)),
        ('{"latitude": 33.85 degrees south, "longitude": 70.2 degrees west}', (-33.85, -70.2)),
        ("(\u201333.86, 151.21)", (-33.86, 151.21)),
        ('{"latitude": 34.05, "longitude": -1', None),
        ('{"latitude": 48,8566, "longitude": 2,3522}', None),
        ("Latitude: 40-45, Longitude: 10-12", None),
        ('{"latitude": 1e1, "longitude": 2}', None),
        ('{"latitude": 48.8566, "longitude": 2.3522} The latitude 10 is unlikely.', (48.8566, 2.3522)),
        ("48.8566, 2.3522. Confidence: 0.7, 0.8", (48.8566, 2.3522)),
        ("$12.50, 13 euros", None),
        ("(longitude, latitude) = (2.35, 48.85)", (48.85, 2.35)),
        ("48°51'24\"N 2°21'03\"E", (48.856667, 2.350833)),
        ("N 48.85 E 2.35", (48.85, 2.35)),
        ("S33.8688 E151.2093", (-33.8688, 151.2093)),
        ("37.77° N and 122.42° W", (37.77, -122.42)),
        ("33.86° South, 151.2° East", (-33.86, 151.2)),
        ("**-33.8688**, **151.2093**", (-33.8688, 151.2093)),
        ('{"latitude": 51.5, "longitude": - 0.1278}', (51.5, -0.1278)),
        ("latitude (degrees north): 48.85, longitude (degrees east): 2.35", (48.85, 2.35)),
        ("lat. 48.85, lon. 2.35", (48.85, 2.35)),
        ("<latitude>-33.8</latitude><longitude>151.2</longitude>", (-33.8, 151.2)),
        ("- 48.8566, 2.3522", (48.8566, 2.3522)),
        ("Paris - 48.8566, 2.3522", None),
        ("latitude, longitude: 48.85, 2.35", (48.85, 2.35)),
        ("Latitude: -33.86 S, Longitude: 151.2 E", (-33.86, 151.2)),
        ("Latitude: 48.85 E, longitude: 2.35", None),
        ('{\n  "latitude": 48.8566,\n  "longitude": 2.3522\n}\n```', (48.8566, 2.3522)),
        ("Latitude: 12 or 13, longitude 4", None),
        ("12.5 km, 13.25 km", None),
        ('"latitude": "48.85", "longitude": "2.35"', (48.85, 2.35)),
        ("48.8566,2.3522", (48.8566, 2.3522)),
        ("lat=48.85&lon=2.35", (48.85, 2.35)),
        ("40.7128° N, 74.0060° W", (40.7128, -74.006)),
        ("(40.7128° N, 74.0060° W)", (40.7128, -74.006)),
        ("latitude is approximately 48.85 degrees and the longitude is approximately 2.35 degrees", (48.85, 2.35)),
    ],
)
def test_what_models_write(answer: str, expected: tuple[float, float] | None) -> None:
    """And where one cannot be sure, no place is better than a wrong one."""
    found = place_in_words(answer)
    assert (found and (round(found.latitude, 6), round(found.longitude, 6))) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I cannot tell where this is.",
        "None",
        '{"latitude": 0.0, "longitude": 0.0}',
        '{"latitude": -0.0, "longitude": 0}',
        '{"latitude": 91.0, "longitude": 10.0}',
        '{"latitude": 45.0, "longitude": 180.5}',
        '{"latitude": null, "longitude": null}',
        '{"latitude": float, "longitude": float}',
        "Taken on 12, 13 or 14 May",
        "Room 12.5 on floor 3",
        "1234.5, 6789.5",
        '{"latitude": 48.85}',
    ],
)
def test_what_is_no_place(answer: str) -> None:
    assert place_in_words(answer) is None


@given(st.text() | st.text(alphabet='0123456789.,-+°NSEW latongiude:"{}()\u2212'))
def test_no_text_is_an_error_and_none_is_zero(answer: str) -> None:
    found = place_in_words(answer)
    assert found is None or (found.latitude, found.longitude) != (0.0, 0.0)


def spent(text: str) -> float:
    """The least processor time of three, since what disturbs one does not disturb all."""
    found = []
    for _ in range(3):
        start = time.process_time()
        place_in_words(text)
        found.append(time.process_time() - start)
    return min(found)


def test_the_time_grows_with_the_length() -> None:
    """Not with its square: that of the second half of these pieces took minutes once."""
    for piece in ("latitude ", "1.1, ", "latitude: 1.1 ", '"' * 10, "1" * 50, "lat: : : : is is ", "N N ", "1°1'1'"):
        short, long = (spent(piece * count) for count in (2_000, 20_000))
        assert long < 40 * max(short, 0.005), piece
