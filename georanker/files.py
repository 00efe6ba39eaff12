"""Files are written beside their place and renamed, so that nobody ever meets half of one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def _beside(path: Path, ending: str = "part") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Process ids would not do: containers that share a disk count them alike.
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{ending}")


@contextmanager
def file_beside(path: Path) -> Iterator[Path]:
    """Give a path to write to; it becomes `path` when the block ends well, and is removed when it does not."""
    part = _beside(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def folder_beside(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of `folder` when the block ends well."""
    part, old = _beside(folder), _beside(folder, "old")
    part.mkdir()
    try:
        yield part
        with suppress(FileNotFoundError):
            os.replace(folder, old)  # renamed and removed later, so that nobody meets half of the old one either
        os.replace(part, folder)
    finally:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
