"""Where a long job keeps what is done, so that it can be killed and go on, in any number of processes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from georanker.files import write_json
from georanker.types import GeorankerError

_ALONE = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
OTHERWISE = "delete it to start anew, or name another --out"


class JobFolder:
    """A folder of parquet files, each of which is there whole or not at all; `origin.json` says whose they are.

    Args:
        folder: all processes must see the same one.
        origin: what the files depend on, by its name.
        otherwise: what to do about files of another origin, for errors.
    """

    def __init__(self, folder: Path, origin: Mapping[str, object], otherwise: str = OTHERWISE) -> None:
        self.folder, self.origin, self.otherwise = folder, dict(origin), otherwise

    def claim(self, begun: bool = False) -> None:
        """Make the folder, or take it over.

        Args:
            begun: whether a job of another origin is refused, too, that has no file yet.

        Raises:
            GeorankerError: it holds files of another origin, or cannot be written.
        """
        found = read_json(self.folder / "origin.json")
        if found != self.origin and ((begun and found) or any(self.folder.glob("*.parquet"))):
            raise GeorankerError(f"{self.folder}: {differing(found, self.origin)}; {self.otherwise}")
        if found != self.origin or not self.folder.exists():
            write_json(self.folder / "origin.json", self.origin)

    def is_mine(self) -> bool:
        """Return whether the folder is there and of this origin."""
        return read_json(self.folder / "origin.json") == self.origin

    def check_mine(self) -> None:
        """Raise GeorankerError if the folder was removed, or belongs to another run by now."""
        if not self.is_mine():
            raise GeorankerError(f"{self.folder} was removed or changed by another run while this one wrote to it")

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep other processes out of the block; gives False if the folder is gone by then."""
        import fcntl

        try:
            lock = (self.folder / "origin.json").open("r+")
        except FileNotFoundError:
            yield False
            return
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)  # the system gives it free when the process ends, however it ends
            except OSError as error:
                raise GeorankerError(f"{self.folder}: its disk has no locks ({error.strerror})") from error
            yield self.is_mine()

    def remove(self) -> None:
        """Delete the folder; what says whose files they are goes last, so that a kill leaves nothing nameless."""
        for file in self.folder.glob("*.parquet"):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def differing(found: object, origin: Mapping[str, object]) -> str:
    """Return in words by what something was made otherwise."""
    if not isinstance(found, dict) or not found:
        return "was not made by this command"
    others = [name for name, value in origin.items() if found.get(name) != value]
    return f"was made with another {' and '.join(others)}"


def read_json(path: Path) -> dict[str, object]:
    """Return what a file holds by its names; nothing if it cannot be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def place_of_process() -> tuple[int, int]:
    """Return which of how many processes this is, as torchrun says it, and see that each takes a GPU of its own.

    Raises:
        GeorankerError: RANK, WORLD_SIZE and LOCAL_RANK do not fit together.
    """
    import torch

    told = {name: os.environ.get(name, default) for name, default in _ALONE.items()}
    numbers = [int(text) if text.isdecimal() else -1 for text in told.values()]
    rank, processes, local = numbers
    if min(numbers) < 0 or rank >= processes:
        given = ", ".join(f"{name}={text}" for name, text in told.items())
        raise GeorankerError(f"{given} in the environment: RANK counts from 0, up to below WORLD_SIZE")
    if torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())
    return rank, processes
