"""Folders, and the hub that they may come from."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
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


def check_there(source: str) -> None:
    """See that there is a folder, or a model in the hub's cache or on the hub, with one question where others retry.

    Raises:
        GeorankerError: there is neither.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, HTTPError  # type: ignore[attr-defined]  # httpx's, or httpx2's

    if Path(source).is_dir():
        return
    try:
        if not isinstance(try_to_load_from_cache(source, "config.json"), str):
            HfApi().model_info(source, timeout=10)
    except (HTTPError, HFValidationError, OSError) as error:
        raise GeorankerError(
            f"model {source}: neither a folder here nor a model of the hub ({first_line(error)})"
        ) from error


def upload(write: Callable[[Path], None], repo_id: str, private: bool = False, endpoint: str | None = None) -> str:
    """Upload a folder to the hub, and return the address of the commit.

    Args:
        write: fills the folder, which is removed afterwards.
        repo_id: such as "name/model"; it is made if it is not there.
        private: whether a repository that is made can only be seen by its owner.
        endpoint: the hub's address; None for HF_ENDPOINT, or huggingface.co.

    Raises:
        GeorankerError: there is no token in HF_TOKEN, or the hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError  # type: ignore[attr-defined]  # httpx's, or httpx2's

    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        raise GeorankerError(f"{repo_id}: set the environment variable HF_TOKEN to a token of the hub that may write")
    hub = HfApi(endpoint=endpoint, token=token)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "It seems that you are about to commit a data file")  # the gallery's places
        write(Path(folder))
        try:
            hub.create_repo(repo_id, private=private, exist_ok=True)
            return str(hub.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="A georanker localizer"))
        except (HTTPError, HFValidationError, OSError) as error:
            raise GeorankerError(f"{repo_id}: the hub did not take it ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message that says something."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
