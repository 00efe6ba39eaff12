"""The nearest of a gallery without the photo itself: what a plain search over all rows finds, whatever is planted."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.retrievers.gallery import Gallery
from georanker.training_lists.distinct_neighbours import ALIKE, RELATED, SAME, DistinctNeighbours
from georanker.training_lists.related import Related
from georanker.types import GeorankerError, Photo, Place
from tests.miniatures import write_miniatures

DIMENSIONS = 8


def unit(vectors: np.ndarray) -> np.ndarray:
    found: np.ndarray = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return found


def gallery_of(ids: list[str], vectors: np.ndarray) -> Gallery:
    gallery = Gallery("nobody")
    places = [Place(at % 90, at % 180) for at in range(len(ids))]
    gallery.add([Photo(id_, place) for id_, place in zip(ids, places, strict=True)], vectors, vectors)
    return gallery


def plain(query: np.ndarray, vectors: np.ndarray, allowed: np.ndarray, top_k: int) -> list[int]:
    """Look at every row, in float64, and sort."""
    scores = (vectors.astype(np.float64) * query.astype(np.float64)).sum(1)
    order = np.argsort(-scores, kind="stable")
    return [int(at) for at in order if allowed[at]][:top_k]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 400), top_k=st.integers(1, 40), crowd=st.integers(0, 200))
def test_no_photo_is_among_its_own_candidates(seed: int, size: int, top_k: int, crowd: int) -> None:
    """Galleries hold the queries under their ids, under other spellings and ids, nearly alike, and by the dozen."""
    random = np.random.default_rng(seed)
    vectors = unit(random.normal(size=(size, DIMENSIONS)))
    queries = unit(random.normal(size=(6, DIMENSIONS)))
    ids = [f"g/{at}.jpg" for at in range(size)]
    own = np.full(size, -1)  # which query a row shows
    for at in random.choice(size, min(size, 5), replace=False):
        query = int(random.integers(6))
        ids[at] = (f"q_{query}.jpg", f"q/{query}.png", f"q/{query}")[random.integers(3)]  # the vector is another
        own[at] = query
    for at in random.choice(size, min(size - 1, crowd), replace=False):
        query = int(random.integers(6))
        near = queries[query] + random.normal(size=DIMENSIONS) * random.choice([0, 1e-7, 1e-4])
        vectors[at] = unit(near) * random.choice([1.0, 1.5])  # the id is another, and so may the length be
        own[at] = query if own[at] < 0 else own[at]
    photos = [Photo(f"q/{query}.jpg", Place(0, 0)) for query in range(6)]
    neighbours = DistinctNeighbours(gallery_of(ids, vectors), top_k)
    for query, photo in enumerate(photos):
        cosines = unit(vectors).astype(np.float64) @ queries[query].astype(np.float64)
        same = np.array([id_.replace("/", "_").split(".")[0] == f"q_{query}" for id_ in ids])
        if (np.abs(cosines - 0.9999) < 1e-6).any():
            continue  # float32 may see these on either side
        expected = plain(queries[query], vectors, ~same & (cosines < 0.9999), top_k)
        if not expected:
            with pytest.raises(GeorankerError, match="nothing of the gallery is left for it"):
                neighbours.of([photo], queries[query : query + 1])
            continue
        (found,) = neighbours.of([photo], queries[query : query + 1])
        assert [candidate.gallery_row for candidate in found.candidates] == expected
        assert found.photo is photo
        scores = (vectors[expected].astype(np.float64) * queries[query].astype(np.float64)).sum(1)
        assert [candidate.score for candidate in found.candidates] == [float(np.float32(score)) for score in scores]


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_it_does_not_matter_who_is_asked_together(batch: int) -> None:
    random = np.random.default_rng(0)
    gallery = gallery_of([str(at) for at in range(3000)], unit(random.normal(size=(3000, 64))))
    queries = unit(random.normal(size=(64, 64)))
    photos = [Photo(f"q{at}") for at in range(64)]
    neighbours = DistinctNeighbours(gallery, 19)
    found = [
        each
        for start in range(0, 64, batch)
        for each in neighbours.of(photos[start : start + batch], queries[start : start + batch])
    ]
    for query, each in zip(queries, found, strict=True):
        expected = plain(query, gallery.embeddings, np.ones(3000, bool), 19)
        assert [candidate.gallery_row for candidate in each.candidates] == expected


def test_rows_of_one_vector_come_in_their_order() -> None:
    vectors = unit(np.tile(np.random.default_rng(0).normal(size=(1, DIMENSIONS)), (500, 1)))
    query = unit(np.random.default_rng(1).normal(size=(1, DIMENSIONS)))
    (found,) = DistinctNeighbours(gallery_of([str(at) for at in range(500)], vectors), 20).of([Photo("q")], query)
    assert [candidate.gallery_row for candidate in found.candidates] == list(range(20))


def related(folder: Path, rows: list[dict[str, str | None]], suffix: str = "csv") -> Related:
    path = folder / f"related.{suffix}"
    table = pa.Table.from_pylist(rows)
    if suffix == "csv":
        lines = [",".join(each or "" for each in row.values()) for row in rows]
        path.write_text("\n".join([",".join(table.column_names), *lines]) + "\n")
    else:
        pq.write_table(table, path)
    return Related(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_photos_of_an_author_or_a_sequence_are_left_out(suffix: str, tmp_path: Path) -> None:
    table = related(
        tmp_path,
        [
            {"photo_id": "q.jpg", "author": "007", "sequence": "a"},
            {"photo_id": "0_0", "author": "007", "sequence": None},
            {"photo_id": "0/1", "author": "7", "sequence": "b"},
            {"photo_id": "0/2.jpg", "author": "8", "sequence": "a"},
            {"photo_id": "0/3.jpg", "author": None, "sequence": None},
        ],
        suffix,
    )
    ids = [f"0/{at}.jpg" for at in range(5)]
    random = np.random.default_rng(0)
    neighbours = DistinctNeighbours(gallery_of(ids, unit(random.normal(size=(5, 4)))), 5, related=table)
    query = unit(random.normal(size=(1, 4)))

    def found(id_: str) -> set[str]:
        (each,) = neighbours.of([Photo(id_)], query)
        return {candidate.photo.id for candidate in each.candidates if candidate.photo}

    assert found("q") == {"0/1.jpg", "0/3.jpg", "0/4.jpg"}
    assert neighbours.left_out == {RELATED: 2}
    assert found("nobody knows") == set(ids)
    assert found("0_2.png") == set(ids) - {"0/2.jpg"}, "nobody's author is the author of nobody"
    assert neighbours.left_out == {RELATED: 2, SAME: 1}


def test_the_table_of_mp16_pro_says_who_took_a_photo(tmp_path: Path) -> None:
    mini = write_miniatures(tmp_path)
    with pytest.raises(GeorankerError, match=r"has no column 'photo_id'.*--related_id; it has IMG_ID, AUTHOR, LAT"):
        Related(mini.mp16_filtered)
    table = Related(mini.mp16_filtered, "IMG_ID", ["AUTHOR"])
    with mini.mp16_filtered.open(encoding="utf-8", newline="") as file:
        ids = [row["IMG_ID"] for row in csv.DictReader(file)]
    assert table.groups([*ids, "unknown"]).tolist() == [[1]] * len(ids) + [[0]]
    with pytest.raises(GeorankerError, match=r"has no column 'OWNER'.*; name the right one in --related_columns"):
        Related(mini.mp16_filtered, "IMG_ID", ["OWNER"])


def test_a_cosine_of_null_leaves_only_ids() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(9, 4)))
    gallery = gallery_of([str(at) for at in range(9)], vectors)
    strict, lax = DistinctNeighbours(gallery, 9), DistinctNeighbours(gallery, 9, duplicate_cosine=None)
    assert [len(each.of([Photo("q")], vectors[:1])[0]) for each in (strict, lax)] == [8, 9]
    assert strict.left_out == {ALIKE: 1}
    assert len(lax.of([Photo("0.jpg")], vectors[:1])[0]) == 8


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("photo,author\na,b\n", "has no column 'photo_id'.*; name the right one in --related_id; it has photo, author"),
        ("photo_id\na\n", "has the column photo_id alone; it needs others, such as author"),
        ("photo_id,author\n", "has no rows"),
        ("photo_id,author\na,b\n,c\n", "line 3, column photo_id: '' is empty; correct it$"),
        ("photo_id,author\na,x\nb\n", "line 3: has 1 cells, the first line 2"),
        ("photo_id,author,author\na,x,y\n", "has the column 'author' more than once"),
        ('photo_id,author\na,"x\nb,y\nc,z\n', "a quote .* is opened and not closed"),
        ("", "is empty"),
    ],
)
def test_a_table_that_relates_nothing(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "related.csv"
    path.write_text(text)
    with pytest.raises(GeorankerError, match=told) as raised:
        Related(path)
    assert "\n" not in str(raised.value)
    with pytest.raises(GeorankerError, match=r"no\.csv: cannot be read"):
        Related(tmp_path / "no.csv")


@pytest.mark.parametrize(("top_k", "cosine"), [(0, 0.9), (1, 1.5), (1, -1.0), (1, float("nan"))])
def test_settings_that_cannot_be(top_k: int, cosine: float) -> None:
    with pytest.raises(GeorankerError, match="must be"):
        DistinctNeighbours(Gallery("nobody"), top_k, cosine)
