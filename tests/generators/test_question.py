"""What a generator is asked."""

from __future__ import annotations

import pytest

from georanker.generators.question import Question
from georanker.types import Candidate, CandidateList, Photo, Place

PHOTO = Photo("q")
FOUND = CandidateList(
    PHOTO,
    (
        Candidate(Place(1.25, -2.5)),
        Candidate(Place(9.0, 9.0), source="generated"),
        Candidate(Place(3.0, 4.0)),
        Candidate(Place(5.0, 6.0)),
    ),
    (Candidate(Place(-7.0, 8.0)), Candidate(Place(-9.0, 10.0))),
)
PLAIN = ["{photo}", "Where?", "Like {similar}.", "Unlike {dissimilar}."]


def test_places_are_told_where_there_are_some() -> None:
    asked = Question(PLAIN, similar=2, dissimilar=1).asked(PHOTO, FOUND)
    assert asked == (PHOTO, "Where?", "Like (1.25, -2.5), (3, 4).", "Unlike (-7, 8).")
    assert Question(PLAIN).asked(PHOTO) == (PHOTO, "Where?")
    assert Question(PLAIN, similar=0, dissimilar=0).asked(PHOTO, FOUND) == (PHOTO, "Where?")


def test_it_is_known_whether_the_candidates_matter() -> None:
    assert Question().tells_places
    assert not Question(similar=0, dissimilar=0).tells_places
    assert not Question(["{photo}", "Where?"]).tells_places
    assert Question(["{photo}", "Like {similar}"], dissimilar=0).tells_places


def test_the_house_asks_for_json_with_its_braces() -> None:
    text = "".join(part for part in Question().asked(PHOTO) if isinstance(part, str))
    assert '{"latitude": ' in text
    assert "{similar}" not in text


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["Where?"], "one part of a question must be '{photo}', not 0"),
        (["{photo}", "{photo}"], "one part of a question must be '{photo}', not 2"),
        (["{photo}", "Like {similiar}."], r"\{similiar\} in 'Like \{similiar\}\.' is not a field"),
        (["{photo}", "See {photo}."], r"\{photo\} in 'See \{photo\}\.' is not a field"),
    ],
)
def test_mistakes_in_templates(parts: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Question(parts)
    with pytest.raises(ValueError, match="similar must be at least 0, not -1"):
        Question(similar=-1)
