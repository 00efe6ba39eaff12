"""Long work in stages, each of which is done once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import georanker
from georanker.files import write_json
from georanker.types import GeorankerError

if TYPE_CHECKING:
    from rich.console import Console


class Stages:
    """Runs what is not finished yet, and remembers how long each stage took.

    A stage is finished when its output is there, since outputs appear whole or not at all.

    Args:
        run: the folder of all outputs.
        settings: what the outputs depend on.
        console: where progress is told.

    Raises:
        GeorankerError: the folder holds the outputs of other settings, or of who knows which.
    """

    def __init__(self, run: Path, settings: Mapping[str, object], console: Console) -> None:
        self._path, self._console = run / "stages.json", console
        self._settings = {**settings, "georanker": georanker.__version__}
        self.record: dict[str, dict[str, Any]] = {"settings": self._settings, "seconds": {}}
        if self._path.exists():
            self.record = _read(self._path)
        elif run.is_dir() and any(not path.name.startswith(".") for path in run.iterdir()):
            raise GeorankerError(
                f"{run} holds files, and no stages.json that says what made them; name another --run, or delete it"
            )
        if self.record["settings"] != self._settings:
            raise GeorankerError(
                f"{run} holds a run with other settings ({self.record['settings']}); name another --run, or delete it"
            )
        write_json(self._path, self.record)

    @property
    def seconds(self) -> dict[str, float]:
        """How long each stage took when it ran."""
        seconds: dict[str, float] = self.record["seconds"]
        return seconds

    def run(self, title: str, output: Path, stage: Callable[[], object]) -> None:
        """Run a stage, unless its output is there."""
        if output.exists():
            self._console.print(f"[dim]✓ {title}: done before[/dim]")
            return
        self._console.print(f"[bold]{title}[/bold]")
        start = time.monotonic()
        stage()
        if not output.exists():
            raise GeorankerError(f"{title}: ended without {output}, where its config should write")
        seconds = round(time.monotonic() - start, 1)
        self.seconds[title] = seconds
        write_json(self._path, self.record)
        self._console.print(f"✓ {title}: {seconds:.0f} s")


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text())
        return {"settings": dict(found["settings"]), "seconds": dict(found["seconds"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = f"{path}: cannot be read ({error}); delete the run folder, or name another --run"
        raise GeorankerError(told) from error
