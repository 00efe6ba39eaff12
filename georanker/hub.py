"""Folders, and the hub that they may come from."""

from __future__ import annotations

from pathlib import Path

from georanker.types import GeorankerError


def fetch(source: str | Path) -> Path:
    """Return a folder as it is, and download what a hub's id names.

    Raises:
        GeorankerError: there is no such folder, and no such id.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if Path(source).is_dir():
        return Path(source)
    try:
        return Path(snapshot_download(str(source)))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise GeorankerError(f"{source}: neither a folder nor a model of the hub ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message that says something."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
