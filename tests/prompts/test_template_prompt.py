"""The prompt's text: the paper's, and what holds for any templates."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.prompts.template_prompt import TemplatePrompt
from georanker.types import Candidate, CandidateList, Photo, Place
from tests.vlm_world import paper_turn

QUERY, OTHER = Photo("query"), Photo("other")
some = settings(deadline=None, derandomize=True, max_examples=60)
words = st.text(max_size=8)
places = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180), words, words, words)
sources = st.sampled_from(["retrieved", "generated"])
candidates = st.builds(Candidate, places, photo=st.sampled_from([None, OTHER]), source=sources)
lists = st.builds(CandidateList, st.just(QUERY), st.tuples(candidates), st.lists(candidates, max_size=3).map(tuple))


def parts(prompt: TemplatePrompt, candidate: Candidate, *negatives: Candidate) -> tuple[str | Photo, ...]:
    return prompt.parts(CandidateList(QUERY, (candidate,), negatives), candidate)


@some
@given(found=lists)
def test_by_default_it_is_the_papers(found: CandidateList) -> None:
    assert TemplatePrompt().parts(found, found.candidates[0]) == tuple(paper_turn(found, found.candidates[0]))


def test_the_papers_prompt_in_full() -> None:
    paris, lyon = Place(48.8566, 2.3522, "Paris", "Île-de-France", "France"), Place(45.75, 4.85, country="France")
    assert parts(TemplatePrompt(), Candidate(paris, photo=OTHER), Candidate(lyon), Candidate(Place(0.5, -1.5))) == (
        QUERY,
        "How far is this place from latitude: 48.8566, longitude: 2.3522, Paris Île-de-France France?",
        OTHER,
        "Negative examples: latitude: 45.75, longitude: 4.85, France; latitude: 0.5, longitude: -1.5, ",
    )


@pytest.mark.parametrize(
    ("photo", "city", "source", "ending"),
    [
        (OTHER, "", "retrieved", "longitude: 2.5, ?"),
        (None, "", "retrieved", "longitude: 2.5, ?"),
        (OTHER, "Lyon", "retrieved", "longitude: 2.5, Lyon?"),
        (None, "Lyon", "retrieved", "longitude: 2.5, Lyon?"),
        (None, "", "generated", "longitude: 2.5?"),
        (None, "Lyon", "generated", "longitude: 2.5?"),
    ],
)
def test_how_the_question_ends(photo: Photo | None, city: str, source: str, ending: str) -> None:
    candidate = Candidate(Place(1.5, 2.5, city=city), photo=photo, source=source)
    assert parts(TemplatePrompt(), candidate)[1] == f"How far is this place from latitude: 1.5, {ending}"


def test_without_a_photo_two_texts_stand_side_by_side() -> None:
    for city in ("", "Lyon"):
        kinds = [type(part) for part in parts(TemplatePrompt(), Candidate(Place(1, 2, city)), Candidate(Place(3, 4)))]
        assert kinds == [Photo, str, str]


@some
@given(place=places, photo=st.sampled_from([None, OTHER]))
def test_coordinates_are_written_in_full(place: Place, photo: Photo | None) -> None:
    (text,) = parts(TemplatePrompt(["{latitude} {longitude}"], None), Candidate(place, photo=photo))
    assert isinstance(text, str)
    assert [float(number) for number in text.split()] == [place.latitude, place.longitude]


@pytest.mark.parametrize("names", list(itertools.product(["", "Lyon"], ["", "Rhône"], ["", "France"])))
def test_unknown_names_leave_no_gap(names: tuple[str, str, str]) -> None:
    (text,) = parts(TemplatePrompt(["<{names}>"], None), Candidate(Place(1, 2, *names)))
    assert text == "<" + " ".join(filter(None, names)) + ">"


TEMPLATES = ["{query_photo}", "{candidate_photo}", "{negatives}!", "a {latitude}", "b {longitude}", "c", "", "d"]


@some
@given(order=st.lists(st.sampled_from(TEMPLATES), max_size=8), found=lists)
def test_parts_keep_their_order_and_only_what_is_missing_is_left_out(order: list[str], found: CandidateList) -> None:
    (candidate,) = found.candidates
    told = {
        "{query_photo}": QUERY,
        "{candidate_photo}": candidate.photo,
        "{negatives}!": "-".join(f"{n.place.latitude}" for n in found.negatives) + "!" if found.negatives else None,
        "a {latitude}": f"a {candidate.place.latitude}",
        "b {longitude}": f"b {candidate.place.longitude}",
    }
    prompt = TemplatePrompt(order, None, negative="{latitude}", separator="-")
    wanted = [told.get(template, template) for template in order]
    assert prompt.parts(found, candidate) == tuple(part for part in wanted if part is not None)


def test_a_guess_may_have_templates_of_its_own() -> None:
    prompt = TemplatePrompt(["known"], ["guessed"])
    guess = Candidate(Place(1, 2), source="generated")
    assert parts(prompt, guess) == ("guessed",)
    assert parts(prompt, Candidate(Place(1, 2))) == ("known",)
    assert parts(TemplatePrompt(["same"], None), guess) == ("same",)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("at {latitud}", r"\{latitud\} in 'at \{latitud\}' is not a field of a prompt; did you mean \{latitude\}\?"),
        ("in {name}", r"did you mean \{names\}\?"),
        ("not {negative}", r"did you mean \{negatives\}\?"),
        ("{place}", r"there are latitude, longitude, names, negatives"),
        ("{}", "there are latitude"),
        ("{0}", "there are latitude"),
        ("see {query_photo} here", r"\{query_photo\} must be a part of its own, not inside 'see \{query_photo\} here'"),
        ("{candidate_photo} ", r"\{candidate_photo\} must be a part of its own"),
        ("{latitude.__class__}", r"did you mean \{latitude\}\?"),
        ("{names[0]}", r"did you mean \{names\}\?"),
        ("{latitude:.2f}", r"did you mean \{latitude\}\?"),
        ("{latitude!r}", r"did you mean \{latitude\}\?"),
        ("{ longitude }", r"did you mean \{longitude\}\?"),
    ],
)
@pytest.mark.parametrize("argument", ["parts", "guessed_parts", "negative"])
def test_a_field_that_there_is_not(template: str, said: str, argument: str) -> None:
    if argument == "negative":
        if "negative" in template:
            said = r"\{negative\} in 'not \{negative\}' is not a field"
        with pytest.raises(ValueError, match=said.replace(", negatives", "")) as told:
            TemplatePrompt(negative=template)
    elif argument == "parts":
        with pytest.raises(ValueError, match=said) as told:
            TemplatePrompt(["fine", template])
    else:
        with pytest.raises(ValueError, match=said) as told:
            TemplatePrompt(guessed_parts=["fine", template])
    assert "\n" not in str(told.value)


def test_a_negative_names_no_negatives() -> None:
    with pytest.raises(ValueError, match=r"there are latitude, longitude, names$"):
        TemplatePrompt(negative="{negatives}")


@pytest.mark.parametrize("text", ['{"answer": 1}', "{", "}", "{{", '{"a": {"b": 2}}', "{-}"])
def test_other_braces_are_text(text: str) -> None:
    assert parts(TemplatePrompt([text], None, negative=text), Candidate(Place(1, 2))) == (text,)


@pytest.mark.parametrize(
    "city", ["{latitude}", "{query_photo}", "{negatives}", "{names.__class__}", "{0}", "%s", r"\1"]
)
def test_a_name_is_never_a_template(city: str) -> None:
    named = Candidate(Place(1, 2, city), photo=OTHER)
    prompt = TemplatePrompt(["{names}!", "not {negatives}"], None, negative="{names}")
    assert parts(prompt, named, named, named) == (f"{city}!", f"not {city}; {city}")


def test_fields_are_filled_wherever_they_stand() -> None:
    (text,) = parts(TemplatePrompt(["{latitude}{latitude} {names}"], None), Candidate(Place(1.5, 2, "Lyon")))
    assert text == "1.51.5 Lyon"
    assert not re.search("[{}]", text)
