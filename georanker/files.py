"""Files are written beside their place and renamed, so that nobody ever meets half of one."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from georanker.types import GeorankerError


def _beside(path: Path, ending: str = "part") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Process ids would not do: containers that share a disk count them alike.
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{ending}")


@contextmanager
def file_beside(path: Path) -> Iterator[Path]:
    """Give a path to write to; it becomes `path` when the block ends well, and is removed when it does not.

    Raises:
        GeorankerError: the system does not let it be written: the disk is full, the folder is not ours.
    """
    with _refusals_told(path):
        part = _beside(path)
        try:
            yield part
            os.replace(part, path)
        finally:
            with suppress(OSError):  # what went wrong before is what counts
                part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file of text, whole or not at all."""
    with file_beside(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Write a JSON file that people can read, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


@contextmanager
def folder_beside(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of `folder` when the block ends well.

    Raises:
        GeorankerError: as for `file_beside`.
    """
    with _refusals_told(folder):
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


def check_writable(path: Path) -> None:
    """See before long work that its file or folder can be written.

    Raises:
        GeorankerError: the system does not let it be written.
    """
    with _refusals_told(path):
        part = _beside(path)
        part.mkdir()
        part.rmdir()


@contextmanager
def _refusals_told(path: Path) -> Iterator[None]:
    """Say in one line what the system says of a place; errors about other files go on as they are."""
    try:
        yield
    except OSError as error:
        told = error.filename
        if told is None or Path(os.fsdecode(told)) in (path.parent, *path.parents) or path.name in os.fsdecode(told):
            raise GeorankerError(f"{path}: cannot be written ({_reason(error)})") from error
        raise


def _reason(error: OSError) -> str:
    """Return the system's own words; arrow wraps them into its own."""
    return error.strerror or str(error).rpartition("] ")[2]
