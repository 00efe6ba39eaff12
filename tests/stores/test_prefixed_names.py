"""Files that are named more than their ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from georanker.stores.folder_store import FolderStore
from georanker.stores.prefixed_names import PrefixedNames
from georanker.types import GeorankerError


@pytest.fixture
def store(tmp_path: Path) -> PrefixedNames:
    for name in ("Rome_00024_23_a.jpg", "Lima_00025_23_b.jpg", "Cusco_00026_23_b.jpg", "b.jpg", "deep/Oslo_1_77.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return PrefixedNames(FolderStore(tmp_path))


@pytest.mark.parametrize(
    ("photo_id", "name"),
    [
        ("23_a.jpg", "Rome_00024_23_a.jpg"),
        ("Rome_00024_23_a.jpg", "Rome_00024_23_a.jpg"),
        ("b.jpg", "b.jpg"),  # what the store knows by itself stays as it is
        ("77.jpg", "deep/Oslo_1_77.jpg"),
        ("Lima_00025_23_b", "Lima_00025_23_b.jpg"),
    ],
)
def test_ids_are_ends_of_names(store: PrefixedNames, photo_id: str, name: str) -> None:
    assert store.read(photo_id) == name.encode()
    assert photo_id in store


def test_what_fits_two_or_none(store: PrefixedNames) -> None:
    with pytest.raises(GeorankerError, match=r"photo '23_b\.jpg': may be \w+_23_b\.jpg and \w+_23_b\.jpg"):
        store.read("23_b.jpg")
    with pytest.raises(GeorankerError, match=r"photo '3_a\.jpg': not in"):
        store.read("3_a.jpg")
    with pytest.raises(GeorankerError):
        store.read("../23_a.jpg")
    assert not {"23_b.jpg", "3_a.jpg", "", 7} & {each for each in ("23_b.jpg", "3_a.jpg", "", 7) if each in store}
    assert len(store) == len(store.ids()) == 5
