"""Small archives, and the names and bytes that go into them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from georanker.stores.base import PhotoStore
from georanker.stores.folder_store import FolderStore
from georanker.stores.prefixed_names import PrefixedNames
from georanker.stores.several_stores import SeveralStores
from georanker.stores.tar_store import TarStore
from georanker.stores.zip_store import ZipStore

Members = Mapping[str, bytes]

PARTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..")
)
LONG = st.integers(90, 260).map(lambda size: "é" * (size // 2))
NAMES = st.builds(
    lambda parts, suffix: "/".join(parts) + suffix,
    st.lists(PARTS | LONG, min_size=1, max_size=3),
    st.sampled_from(["", ".jpg", ".JPEG", ".png", ".txt"]),
)
MEMBERS = st.dictionaries(NAMES, st.binary(max_size=1300), max_size=6)


def jpeg(seed: int = 0, size: int = 16) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def tar(path: Path, members: Members, form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zipped(path: Path, members: Members, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def folder(path: Path, members: Members) -> Path:
    for name, data in members.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def stores(path: Path, members: Members) -> list[PhotoStore]:
    """Return the same photos in a store of each kind."""
    path.mkdir(exist_ok=True)
    names = sorted(members)
    halves = [{name: members[name] for name in names[start::2]} for start in (0, 1)]
    zips = [
        zipped(path / f"{n}.zip", half, method) for n, (half, method) in enumerate(zip(halves, (0, 8), strict=True))
    ]
    plain, tarred = FolderStore(folder(path / "folder", members)), TarStore(tar(path / "a.tar", members))
    several = SeveralStores([ZipStore(zips[0]), FolderStore(folder(path / "half", halves[1]))])
    return [plain, tarred, ZipStore(zips), PrefixedNames(tarred), several]
