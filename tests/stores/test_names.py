"""An id finds the photo that it spells, and only that one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from georanker.stores.names import SUFFIXES, Names, spelling_key

WORDS = st.lists(st.sampled_from(["a", "b", "a_b", "b_b", ".a", "x.1"]), min_size=1, max_size=3).map("/".join)
FILES = st.builds(str.__add__, WORDS, st.sampled_from(["", ".jpg", ".JPG", ".png", ".txt"]))


def names(*files: str) -> Names:
    return Names(pa.array(sorted({file.encode() for file in files}, key=spelling_key), pa.large_binary()))


def found(photo_id: str, *files: str) -> list[str]:
    table = names(*files)
    return sorted(table.text(row) for row in table.find(photo_id))


def cut(name: str) -> tuple[str, str]:
    stem, _, suffix = name.rpartition(".")
    return (stem, suffix.lower()) if stem and suffix.lower().encode() in SUFFIXES else (name, "")


def spelled(photo_id: str, file: str) -> bool:
    """The rule as a person would tell it: drop first folders, the suffix, and the difference of `_` and `/`."""
    (stem, suffix), (own, own_suffix) = cut(photo_id), cut(file)
    folders = own.split("/")
    tails = ["/".join(folders[start:]) for start in range(len(folders))]
    return suffix in ("", own_suffix) and stem.replace("/", "_") in [tail.replace("/", "_") for tail in tails if tail]


@given(photo_id=FILES, files=st.lists(FILES, max_size=8))
@example(photo_id="a", files=["a.jpg", "b/a.jpg"])
@example(photo_id="b", files=["a_b", "x/a_b.jpg"])
@example(photo_id="a_b.jpg", files=["a/b.jpg", "x/a_b.jpg"])
@settings(deadline=None, derandomize=True, max_examples=400)
def test_spellings_are_what_the_rule_says(photo_id: str, files: list[str]) -> None:
    expected = {photo_id} if photo_id in files else {file for file in files if spelled(photo_id, file)}
    result = set(found(photo_id, *files))
    assert result <= expected
    assert len(result) == min(2, len(expected))


@pytest.mark.parametrize(
    ("photo_id", "file"),
    [
        ("ab_cd_1234.jpg", "ab/cd/1234.jpg"),  # a table of MP-16 beside its tar
        ("ab_cd_1234.jpg", "mp-16/ab/cd/1234.jpg"),
        ("ab_cd_1234.jpg", "part/00/ab_cd_1234.jpg"),
        ("ab/cd/1234.jpg", "ab_cd_1234.jpg"),
        ("3128", "images/test/00/3128.jpg"),  # OSV-5M
        ("IMG.1", "IMG.1.JPG"),
        ("a.jpg", "a.JPG"),
        ("./ab/cd/1234", "ab/cd/1234.jpg"),
        ("ab//cd/./1234.jpg", "ab/cd/1234.jpg"),
        (".a/1.jpg", ".a/1.jpg"),
        ("a//1.jpg", "a//1.jpg"),  # the very name of a member
    ],
)
def test_a_spelling_that_people_use(photo_id: str, file: str) -> None:
    assert found(photo_id, file, "ab/cd/91234.jpg", "ab/cd/1234.txt.jpg", "z/31289.jpg") == [file]


@pytest.mark.parametrize(
    "photo_id", ["", "/", "234.jpg", "d/1234.jpg", "1234.png", "/ab/cd/1234.jpg", "x/ab/cd/1234", "ab/x/../cd/1234.jpg"]
)
def test_what_is_no_spelling(photo_id: str) -> None:
    assert found(photo_id, "ab/cd/1234.jpg") == []


def test_names_that_are_not_text() -> None:
    table = Names(pa.array([b"caf\xe9.jpg"], pa.large_binary()))
    assert table.find(table.text(0)) == [0]
    assert table.find("caf\ud800.jpg") == []


def test_photos_are_told_by_suffix_and_hidden_files_are_left_out() -> None:
    table = names(
        "a.jpg",
        "b/c.JPEG",
        "b/.d.jpg",
        ".e/f.jpg",
        "b/.jpg",
        "__MACOSX/._a.jpg",
        "e.csv",
        "f",
        ".jpg",
        "g.webp",
        "h.jpg/i",
        "j.k.png",
    )
    photos = table.ids(table.photos)
    assert sorted(photos) == ["a.jpg", "b/c.JPEG", "g.webp", "j.k.png"]
    assert photos[0] == next(iter(photos)) == photos[:1][0]
    assert photos[-1] in photos
    with pytest.raises(IndexError):
        photos[4]
