"""Arrays of rows of a gallery, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from georanker.data.im2gps3k import IM2GPS3K
from georanker.types import GeorankerError
from tests.miniatures import Miniatures, write_miniatures

HEADER = b"\x93NUMPY\1\0v\0{'descr': '<i8', 'fortran_order': False, 'shape': %-74s\n"


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Miniatures:
    return write_miniatures(tmp_path_factory.mktemp("miniatures"))


@pytest.mark.parametrize("kind", [">i8", "<i4", ">i2", "<u8"])
def test_numbers_of_any_machine(kind: str, mini: Miniatures, tmp_path: Path) -> None:
    np.save(tmp_path / "I.npy", np.load(mini.im2gps3k_rows).astype(kind))
    expected, found = (
        IM2GPS3K(mini.im2gps3k_places365, gallery=mini.mp16_filtered, neighbours=rows).own_lists("test")
        for rows in (mini.im2gps3k_rows, tmp_path / "I.npy")
    )
    assert expected is not None
    assert found is not None
    assert list(found) == list(expected)


class Evil:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return self.mark.touch, ()


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((24, 20)), "holds no array"),
        (np.zeros(24, np.int64), "holds no array"),
        (np.zeros((24, 0), np.int64), "holds no array"),
        (np.zeros((23, 20), np.int64), "has 23 rows, the table of photos 24; name the array of this table"),
        (np.full((24, 20), 60), "row 0, column 0: 60 is not a row of .*MP16_Pro_filtered.csv, which has 60; name"),
        (np.eye(24, 20, -5, np.int64) * -1, "row 5, column 0: -1 is not a row of"),
        (b"\x93NUMPY", "cannot be read as an array of numbers"),
        (b"", "cannot be read as an array of numbers"),
        (HEADER % b"(24, 20", "cannot be read as an array of numbers"),
        (HEADER % b"(24, 20,), }, 1\0", "cannot be read as an array of numbers"),
        (None, "cannot be read as an array of numbers"),
    ],
)
def test_arrays_that_cannot_be_used(
    array: np.ndarray | bytes | None, complaint: str, mini: Miniatures, tmp_path: Path
) -> None:
    file, mark = tmp_path / "I.npy", tmp_path / "ran"
    if isinstance(array, bytes):
        file.write_bytes(array)
    else:
        np.save(file, np.array([Evil(mark)], object) if array is None else array, allow_pickle=True)
    with pytest.raises(GeorankerError, match=rf"I\.npy[:,] {complaint}") as raised:
        IM2GPS3K(mini.im2gps3k_places365, gallery=mini.mp16_filtered, neighbours=file).own_lists("test")
    assert "\n" not in str(raised.value)
    assert not mark.exists()
