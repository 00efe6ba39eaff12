"""Answers in words: every form in which a model may name a place, and what is none."""

from __future__ import annotations

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


def test_long_answers_are_read_at_once() -> None:
    for piece in ("latitude ", "1.1, ", "latitude: 1.1 ", '"' * 10, "1" * 50, "lat: : : : is is is "):
        place_in_words(piece * 5000)  # ends; what went back and forth would not
