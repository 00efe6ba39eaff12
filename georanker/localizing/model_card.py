"""What a run measured and of what it was made, and the model card that tells it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from string import Template
from typing import Any, Self

from georanker.types import GeorankerError

_PACKAGES = ("georanker", "torch", "lightning", "transformers", "faiss-cpu")
_CARD = Template("""---
library_name: georanker
pipeline_tag: image-classification
tags:
- geolocalization
- georanker
---

# $title

Where on Earth was this photo taken? A retriever proposes candidate places, a ranker orders them by how near they are.
Made with georanker.

```python
from georanker import Localizer

localizer = Localizer.from_pretrained("$source")
print(localizer.localize("photo.jpg"))
```

## What it is worth

$figures

## What it is made of

$parts

## What it does not know

It answers with a place of its gallery, whatever it is shown. `localize` says how sure an answer is, and marks photos
that are unlike those the model was trained on$calibrated; their answers are guesses.

Place names: GeoNames (https://www.geonames.org), CC BY 4.0.
""")


@dataclass(frozen=True)
class Provenance:
    """What is known of a run.

    Args:
        figures: of the retriever's first choice, the ranker's, and the best of the list, by answer and name.
        settings: what the run was started with, such as experiment and seed.
        data: the benchmark, as class_path and init_args; where the gallery's photos can be read.
        versions: of the packages that were installed when all this was gathered, which need not be those that trained.
    """

    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_run(cls, run: Path, data: Mapping[str, Any]) -> Self:
        """Gather what `metrics.json` and `stages.json` tell, as far as they are there.

        Args:
            run: the run's folder.
            data: what the checkpoint of the ranker remembers of the benchmark.
        """
        from georanker.report.results_table import ROWS

        metrics, stages = _read(run / "metrics.json"), _read(run / "stages.json")
        settings = metrics.get("settings") or stages.get("settings") or {}
        return cls({row: metrics[row] for row in ROWS if row in metrics}, settings, data, installed_versions())

    def to_dict(self) -> dict[str, object]:
        """Return plain values, for YAML."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Read what `to_dict` gave.

        Raises:
            GeorankerError: it is something else.
        """
        if not isinstance(values, Mapping) or not all(isinstance(value, Mapping) for value in values.values()):
            raise GeorankerError("provenance: not mappings")
        try:
            return cls(**values)
        except TypeError as error:
            raise GeorankerError(f"provenance: {error}") from error


def installed_versions() -> dict[str, str]:
    """Return the versions of what makes a difference to a model."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def model_card(provenance: Provenance, parts: Mapping[str, str], source: str, held_out: int) -> str:
    """Return the text of a model card.

    Args:
        provenance: of the model.
        parts: what the model is made of, by what it is.
        source: from where it can be loaded.
        held_out: photos that its calibration comes from; 0 for none.
    """
    settings = provenance.settings
    rows = dict(parts)
    if provenance.data:
        rows["data"] = _data(provenance.data)
    rows |= {str(name): str(value) for name, value in settings.items() if name not in ("configs", "georanker")}
    rows |= {f"{package}, when saved": number for package, number in provenance.versions.items()}
    return _CARD.substitute(
        title=source.rpartition("/")[2],
        source=source,
        figures=_figures(provenance.figures),
        parts="\n".join(
            ["| | |", "|---|---|", *(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items())]
        ),
        calibrated=f" (measured on {held_out:,} held-out photos)" if held_out else "",
    )


def _figures(figures: Mapping[str, Mapping[str, float]]) -> str:
    if not figures:
        return "Not measured."
    found = dict.fromkeys(name for values in figures.values() for name in values)
    names = [name for name in found if name.startswith("acc@") or name == "median_km"]
    heads = [name.replace("acc@", "% within ").replace("km", " km").replace("_", "") for name in names]
    lines = ["| answer | " + " | ".join(heads) + " |", "|---" + "|---:" * len(names) + "|"]
    for answer, values in figures.items():
        cells = [
            "–"
            if name not in values
            else f"{values[name]:,.0f}"
            if name == "median_km"
            else f"{100 * values[name]:.1f}"
            for name in names
        ]
        lines.append(f"| {_cell(answer)} | {' | '.join(cells)} |")
    lines += ["", "Retrieved: the retriever's first choice. Ranked: the answer. Oracle: the best of the candidates."]
    return "\n".join(lines)


def _data(data: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in data.get("init_args", {}).items())
    return f"{str(data.get('class_path', '')).rpartition('.')[2]}({settings})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GeorankerError(f"{path}: cannot be read ({error})") from error
    return found if isinstance(found, dict) else {}
