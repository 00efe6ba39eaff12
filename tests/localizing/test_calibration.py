"""How far answers can be trusted: measured on tiles that no gallery holds, and on photos of other things."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from georanker.data.blue_marble import BlueMarble
from georanker.localizing.calibration import Calibration, agreement
from georanker.localizing.trust import ODD, Trust
from georanker.looks import COUNT, UsualLooks, looks
from georanker.retrievers.photo_collator import PhotoCollator
from georanker.types import GeorankerError, Photo
from tests.localizer_world import PORTRAIT


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> BlueMarble:
    return BlueMarble(gallery_size=1000, test_size=500, cache=tmp_path_factory.mktemp("tiles"))


def pixels(data: BlueMarble, split: str) -> torch.Tensor:
    return torch.from_numpy(np.array(data.tiles.pixels(split, data.sizes[split]))).permute(0, 3, 1, 2)


class File:
    def read(self, photo_id: str) -> bytes:
        return Path(photo_id).read_bytes()


def test_held_out_tiles_are_usual_and_photographs_are_not(tiles: BlueMarble) -> None:
    usual = UsualLooks(looks(pixels(tiles, "gallery")).numpy())
    held_out = usual.share_odder(looks(pixels(tiles, "test")).numpy())
    assert (held_out < ODD).mean() < 0.04
    assert np.quantile(held_out, [0.25, 0.5, 0.75]) == pytest.approx(
        [0.25, 0.5, 0.75], abs=0.12
    )  # the gallery's jitter is larger
    sample = PORTRAIT.parent
    odd = [str(sample / name) for name in ("grace_hopper.jpg", "Minduka_Present_Blue_Pack.png", "logo2.png")]
    others = PhotoCollator(64)([Photo(name, source=File()) for name in odd]).pixels
    flat = torch.tensor([0, 128, 255], dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 64, 64)
    upside_down = torch.cat([others, others.flip(2), others.flip(3), flat])
    assert (usual.share_odder(looks(upside_down).numpy()) < ODD).all()


def test_looks_are_finite_and_a_photos_own() -> None:
    dice = torch.Generator().manual_seed(0)
    for side in (1, 7, 64, 224):
        some = torch.randint(0, 256, (5, 3, side, side), generator=dice, dtype=torch.uint8)
        found = looks(some)
        assert found.shape == (5, COUNT)
        assert found.isfinite().all()
        assert torch.allclose(found[3:4], looks(some[3:4]), atol=1e-5)


def test_ranks_are_those_of_photos_left_out() -> None:
    known = np.random.default_rng(0).normal(size=(40, 3)) * [1, 5, 0.1]
    usual = UsualLooks(known)

    def squared(row: int) -> float:
        others = np.delete(known, row, 0)
        off = known[row] - others.mean(0)
        return float(off @ np.linalg.inv((others - others.mean(0)).T @ (others - others.mean(0))) @ off)

    assert usual._distances == pytest.approx(sorted(map(squared, range(40))), rel=0.01)
    far = np.full((1, 3), 1e6)
    assert usual.share_odder(far) == pytest.approx(1 / 41)
    assert usual.share_odder(known.mean(0)[None]) == 1.0


def test_few_known_photos_call_nothing_odd() -> None:
    few = UsualLooks(np.random.default_rng(0).normal(size=(20, COUNT)))
    assert few.share_odder(np.full((1, COUNT), 1e9))[0] > ODD
    assert UsualLooks(np.zeros((1, COUNT))).share_odder(np.ones((1, COUNT)))[0] > ODD


def test_agreement_is_a_share_of_softmaxed_scores() -> None:
    scores, km = np.log([1.0, 2.0, 5.0]), np.array([0.0, 199.0, 201.0])
    assert agreement(scores, km) == pytest.approx(3 / 8)
    assert agreement(scores + 1000, km) == pytest.approx(3 / 8)
    assert agreement(np.array([0.0, np.nan, -np.inf]), np.array([0.0, 500.0, 500.0])) == 1
    assert agreement(np.array([0.0, -3.4e38]), np.array([0.0, 500.0])) == 1
    assert agreement(np.full(2, np.nan), km[:2]) == 0


def test_shares_come_back_as_they_were_measured() -> None:
    dice = np.random.default_rng(0)
    sure = dice.uniform(size=20_000)
    error_km = np.where(dice.uniform(size=20_000) < sure**2, 10.0, 5000.0)  # right with the probability sure²
    error_km[:100] = np.nan
    learned = Calibration.fitted(np.empty(0), sure, error_km)
    for value in (0.075, 0.325, 0.625, 0.975):
        assert learned.share_right(value) == pytest.approx(value**2, abs=0.06)
    shares = [learned.share_right(value) for value in np.linspace(-1, 2, 200)]
    assert all(one is not None and other is not None and one <= other for one, other in pairwise(shares))
    assert learned.share_less_similar(0.5) is None
    similar = Calibration.fitted(dice.normal(size=5000), np.empty(0), np.empty(0))
    assert similar.share_less_similar(0.0) == pytest.approx(0.5, abs=0.03)
    assert similar.share_less_similar(-9.0) == 0.0
    assert similar.share_less_similar(9.0) == 1.0
    assert similar.share_right(0.5) is None


def test_a_calibration_comes_back_from_plain_values() -> None:
    learned = Calibration.fitted(np.arange(10.0), np.linspace(0, 1, 50), np.tile([1.0, 9e3], 25))
    assert Calibration.from_dict(learned.to_dict()) == learned
    for broken in (
        None,
        {"similarities": "text"},
        {"similarities": [2.0, 1.0]},
        {"similarities": [float("nan")]},
        {"right": [0.5]},
        {"more": 1},
        {"agreements": [[1]], "right": [0.1]},
        {"similarities": [True, "a"]},
    ):
        with pytest.raises(GeorankerError, match=r"^calibration: "):
            Calibration.from_dict(broken)


@pytest.mark.parametrize(
    ("trust", "words", "said"),
    [
        (Trust(0.5, 0.42, 0.3, 0.8), "42% within 200 km", "30% are at least as odd"),
        (Trust(0.5, 0.42, 0.03, 0.8), "42% within 200 km, unusual photo", "3% are at least as odd"),
        (Trust(0.5, 0.42, 0.004, 0.8), "a guess: odder than 99.6%", "it looks odder than 99.6% of them"),
        (Trust(0.5, 0.42, 0.5, 0.0), "a guess: odder than all", "less similar to the gallery than all of them"),
        (Trust(0.5, 0.42, 0.5, 0.0002), "a guess: odder than 99.9%", "than 99.9% of them"),
        (Trust(0.5, 0.0, 0.5, 0.5), "0% within 200 km", "within 200 km in 0% of cases"),
        (Trust(0.5, 0.0004, 0.5, 0.5), "under 0.1% within 200 km", "in under 0.1% of cases"),
        (Trust(0.5, 0.004, 0.5, 0.5), "0.4% within 200 km", "in 0.4% of cases"),
        (Trust(0.5, 1.0, 1.0, 1.0), "100% within 200 km", "100% are at least as odd"),
        (Trust(0.5), "not measured", "was not measured"),
        (Trust(0.5, 0.42), "42% within 200 km", "was not measured"),
    ],
)
def test_trust_in_words(trust: Trust, words: str, said: str) -> None:
    assert str(trust) == words
    assert said in trust.explained()


def test_looks_are_alike_at_other_sizes() -> None:
    """The same photo, decoded for an encoder of another size, is no odder."""
    with Image.open(PORTRAIT) as image:
        small, large = (
            np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BOX)) for side in (64, 256)
        )
    found = [looks(torch.from_numpy(np.array(each)).permute(2, 0, 1)[None]) for each in (small, large)]
    assert torch.allclose(found[0], found[1], atol=0.02)
