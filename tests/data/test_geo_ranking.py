"""GeoRanking.parquet is read as a plain reader would, row by row, and nothing wrong in it passes."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from georanker.backbones.ranking_collator import RankingCollator
from georanker.candidates import write_candidates
from georanker.cli import main, run_trainer
from georanker.data.geo_ranking import GeoRanking
from georanker.georanking import SCHEMA, told, write_georanking
from georanker.prompts.template_prompt import TemplatePrompt
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, Place
from tests.conftest import ROOT
from tests.miniatures import Miniatures
from tests.vlm_runs import predicted, vlm_config

Row = dict[str, Any]


def written(folder: Path, rows: list[Row], schema: pa.Schema = SCHEMA) -> Path:
    path = folder / "GeoRanking.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


def plain(row: Row, first: int = 1, last: int = 7, negatives: int = 5) -> CandidateList:
    """What the paper's file says of a row, read without a thought for speed."""
    references = []
    for (latitude, longitude), id_, texts in zip(row["ref_gps"], row["ref_img_id"], row["ref_texts"], strict=True):
        place = Place(latitude, longitude, city=" ".join(texts))
        references.append(Candidate(place, photo=Photo(id_, place)))
    zero = 0 if row["ref_img_id"][0] == row["img_id"] else 1  # the rank of the first reference
    photo = Photo(row["img_id"], Place(*row["gps"]))
    candidates = references[first - zero : last + 1 - zero]
    return CandidateList(photo, tuple(candidates), tuple(references[len(references) - negatives :]))


def seen(found: CandidateList) -> object:
    """All of a list but its scores, of which the file says nothing."""
    sides = [[(each.place, each.photo, each.source) for each in side] for side in (found.candidates, found.negatives)]
    return found.photo, [[(place, photo) for place, photo, _ in side] for side in sides]


@pytest.mark.parametrize(("ranks", "negatives"), [((1, 7), 5), ((1, 1), 0), ((2, 12), 3), ((4, 9), 19)])
def test_a_row_is_what_a_plain_reader_reads(
    paper: Miniatures, rows: list[Row], ranks: tuple[int, int], negatives: int
) -> None:
    data = GeoRanking(paper.georanking, ranks=ranks, negatives=negatives, val_size=10)
    found = [*data.lists("train"), *data.lists("test"), *data.lists("val")]
    assert len(found) == len(rows)
    assert [seen(each) for each in found] == [seen(plain(row, *ranks, negatives)) for row in rows]
    for each in found:
        scores = [candidate.score for candidate in each.candidates]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) == len(scores)
        assert {candidate.source for candidate in each.candidates} == {"retrieved"}


def test_rank_0_is_passed_over_only_where_it_is_the_photo_itself(paper: Miniatures, rows: list[Row]) -> None:
    lists = GeoRanking(paper.georanking).lists("train")
    others = [at for at, row in enumerate(rows[: len(lists)]) if row["ref_img_id"][0] != row["img_id"]]
    assert others == [3, 7]
    for at, found in enumerate(lists):
        assert found.candidates[0].photo == Photo(
            rows[at]["ref_img_id"][0 if at in others else 1], found.candidates[0].place
        )
        assert found.photo.id not in [candidate.photo.id for candidate in found.candidates if candidate.photo]


@pytest.mark.parametrize(
    ("own", "first", "is_own"),
    [
        ("ab/cd/0.jpg", "ab_cd_0.jpg", True),
        ("ab_cd_0.JPG", "ab/cd/0", True),
        ("ab_cd_0.x", "ab_cd_0", False),
        ("cd_0.jpg", "ab_cd_0.jpg", False),
        (".jpg", ".png", False),
    ],
)
def test_the_photo_itself_in_another_spelling(
    own: str, first: str, is_own: bool, rows: list[Row], tmp_path: Path
) -> None:
    rows[0]["img_id"], rows[0]["ref_img_id"][0] = own, first
    photo = GeoRanking(written(tmp_path, rows)).lists("train")[0].candidates[0].photo
    assert photo is not None
    assert (photo.id != first) == is_own


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA.set(1, pa.field("gps", pa.list_(pa.float64(), 2))).set(
            2, pa.field("ref_gps", pa.list_(pa.list_(pa.float64(), 2)))
        ),
        pa.schema(
            [
                ("img_id", pa.large_string()),
                ("gps", pa.large_list(pa.float64())),
                ("ref_gps", pa.large_list(pa.large_list(pa.float64()))),
                ("ref_img_id", pa.large_list(pa.large_string())),
                ("ref_texts", pa.list_(pa.large_list(pa.large_string()))),
                ("more", pa.int64()),
            ]
        ),
    ],
    ids=["fixed", "large"],
)
def test_other_arrow_types_of_the_same_read_alike(schema: pa.Schema, rows: list[Row], tmp_path: Path) -> None:
    lists = GeoRanking(written(tmp_path, rows, schema)).lists("train")
    assert [seen(found) for found in lists] == [seen(plain(row)) for row in rows[: len(lists)]]


def test_the_prompt_is_that_of_the_papers_training(rows: list[Row], tmp_path: Path) -> None:
    for at, texts in enumerate([["", "Nice", "", "France"], [], [""], ["a  b ", "'c'"]]):
        rows[0]["ref_texts"][at + 1] = texts
    found = GeoRanking(written(tmp_path, rows)).lists("train")[0]
    for rank, candidate in enumerate(found.candidates, start=1):
        (latitude, longitude), texts = rows[0]["ref_gps"][rank], rows[0]["ref_texts"][rank]
        negatives = "; ".join(
            f"latitude: {north}, longitude: {east}, {' '.join(names)}"
            for (north, east), names in zip(rows[0]["ref_gps"][-5:], rows[0]["ref_texts"][-5:], strict=True)
        )
        assert TemplatePrompt().parts(found, candidate) == (
            found.photo,
            f"How far is this place from latitude: {latitude}, longitude: {longitude}, {' '.join(texts)}?",
            candidate.photo,
            f"Negative examples: {negatives}",
        )


def test_a_text_that_is_null_is_none(rows: list[Row], tmp_path: Path) -> None:
    rows[0]["ref_texts"][1] = ["Nice", None, "France"]
    rows[0]["ref_texts"][2] = None
    found = GeoRanking(written(tmp_path, rows)).lists("train")[0]
    assert [candidate.place.city for candidate in found.candidates[:2]] == ["Nice France", ""]


@pytest.mark.parametrize(("val", "test", "sizes"), [(None, None, (58, 1, 1)), (7, 3, (50, 3, 7)), (0, 0, (60, 0, 0))])
def test_splits_are_the_file_cut_in_three(
    val: int | None, test: int | None, sizes: tuple[int, int, int], paper: Miniatures, rows: list[Row]
) -> None:
    data = GeoRanking(paper.georanking, val_size=val, test_size=test)
    ids: list[str] = []
    for split, size in zip(("train", "test", "val"), sizes, strict=True):
        lists, photos = data.lists(split), data.photos(split)
        assert len(lists) == len(photos) == size
        assert [found.photo for found in lists] == list(photos)
        ids += [photo.id for photo in photos]
    assert ids == [row["img_id"] for row in rows]


def test_an_empty_test_is_told(paper: Miniatures) -> None:
    data = GeoRanking(paper.georanking, test_size=0, val_size=0, collator=RankingCollator())
    for loader in (data.test_dataloader, data.predict_dataloader):
        with pytest.raises(GeorankerError, match=r"^the split test is empty$"):
            loader()
    assert not list(data.val_dataloader()), "none held out for val is a choice: Lightning then skips it"


def test_splits_that_there_are_not(paper: Miniatures) -> None:
    with pytest.raises(GeorankerError, match="GeoRanking has no split 'gallery'; it has train, test, val"):
        GeoRanking(paper.georanking).photos("gallery")
    with pytest.raises(GeorankerError, match="GeoRanking has no split 'gallery'"):
        GeoRanking(paper.root / "not read").photos("gallery")
    with pytest.raises(GeorankerError, match="has 60 rows, so val_size 59 and test_size 1 leave none"):
        GeoRanking(paper.georanking, val_size=59).lists("train")


def test_photos_come_from_the_tar_in_another_spelling(paper: Miniatures) -> None:
    data = GeoRanking(paper.georanking, photos=paper.mp16_photos)
    found = data.lists("train")[0]
    for photo in (found.photo, found.candidates[0].photo, data.photos("train")[0]):
        assert photo is not None
        assert photo.load().size == (48, 32)


def test_a_vision_language_model_trains_is_tested_and_answers(
    paper: Miniatures, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    config = vlm_config(tmp_path, tiny("qwen2_vl"))
    data = [f"--data={ROOT / 'configs/data/geo_ranking.yaml'}", f"--data.table={paper.georanking}"]
    few = [f"--data.photos={paper.mp16_photos}", "--data.test_size=4", "--data.val_size=1"]
    few += ["--data.batch_size=2", "--data.num_workers=1"]
    trainer = run_trainer(["fit", config, *data, *few, "--trainer.limit_train_batches=3"]).trainer
    assert trainer.global_step == 3
    assert trainer.callback_metrics["val/ranked/mean_km"].isfinite()
    checkpoint = f"--ckpt_path={tmp_path / 'checkpoints/ranker.ckpt'}"
    assert (
        run_trainer(["test", config, *data, *few, checkpoint])
        .trainer.callback_metrics["test/ranked/mean_km"]
        .isfinite()
    )
    main(["predict", config, *data, *few, checkpoint])
    rows = pq.read_table(paper.georanking).to_pylist()[-5:-1]
    for answer, row in zip(predicted(tmp_path), rows, strict=True):
        assert answer.photo_id == row["img_id"]
        assert sorted(answer.scores) == sorted(row["ref_img_id"][1:8])
        assert len(set(answer.scores.values())) == 7


def test_a_folder_of_candidates_takes_the_place_of_the_files_lists(paper: Miniatures, tmp_path: Path) -> None:
    write_candidates(tmp_path / "train.parquet", [CandidateList(Photo("q"), (Candidate(Place(1, 2)),))], "nobody", None)
    assert GeoRanking(paper.georanking, candidates=tmp_path).lists("train")[0].photo.id == "q"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("ranks", (0, 7)), ("ranks", (5, 4)), ("negatives", -1), ("val_size", -1), ("test_size", -1), ("batch_size", 0)],
)
def test_settings_that_cannot_be(setting: str, value: Any, paper: Miniatures) -> None:
    with pytest.raises(ValueError, match=setting):
        GeoRanking(paper.georanking, **{setting: value})


def test_what_is_written_is_read(paper: Miniatures, rows: list[Row], tmp_path: Path) -> None:
    lists = [plain(row, 1, 14) for row in rows if row["ref_img_id"][0] == row["img_id"]]
    places = [
        Place(found.photo.place.latitude, found.photo.place.longitude, "here") for found in lists if found.photo.place
    ]
    path = tmp_path / "GeoRanking.parquet"
    assert write_georanking(path, zip(places, lists, strict=True), {"a": 1}) == len(lists)
    assert told(path) == {"a": 1}
    assert told(paper.georanking) == {}
    assert pq.read_schema(path).remove_metadata() == pq.read_schema(paper.georanking).remove_metadata() == SCHEMA
    data = GeoRanking(path, ranks=(1, 14), val_size=0, test_size=0)
    assert [seen(found) for found in data.lists("train")] == [seen(found) for found in lists]
    assert {row["ref_texts"][0][0] for row in pq.read_table(path).to_pylist()} == {"here"}


def test_no_python_object_outlives_its_batch(paper: Miniatures, rows: list[Row], tmp_path: Path) -> None:
    def objects() -> list[object]:
        gc.collect()
        return [each for each in gc.get_objects() if type(each) in (Candidate, CandidateList)]

    path = written(tmp_path, rows * 20)
    others = objects()  # are held here, so that none goes and leaves its address to a new one
    data = GeoRanking(path, batch_size=50, collator=RankingCollator())
    count = 0
    for batch in data.train_dataloader():
        count += len(batch)
        assert batch.distances_km.shape == (50, 7)
        assert not torch.isnan(batch.distances_km).any()
    assert count == 1150  # of 1176, in whole batches
    assert {id(each) for each in objects()} == {id(each) for each in others}
