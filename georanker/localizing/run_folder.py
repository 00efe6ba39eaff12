"""What the folder of a finished run tells beside its models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from georanker.pretrained import build
from georanker.types import GeorankerError, PhotoSource


def check_run(folder: Path, name: str) -> None:
    """See that a folder holds the models of a run.

    Args:
        folder: of the run.
        name: what the user called it.

    Raises:
        GeorankerError: it does not.
    """
    parts = ("retriever.ckpt", "gallery", "ranker.ckpt")
    missing = [part for part in parts if not (folder / part).exists()]
    if missing:
        what = f"it lacks {' and '.join(missing)}" if folder.is_dir() else "no such folder"
        raise GeorankerError(f"{name} is not a finished run: {what}; make one with `georanker demo --run={name}`")


def remembered_data(checkpoint: Path) -> dict[str, object]:
    """Return what a checkpoint remembers of the benchmark: its class_path and init_args."""
    settings = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True).get(
        "datamodule_hyper_parameters"
    )
    if not isinstance(settings, dict) or "_class_path" not in settings:
        return {}
    given = {name: value for name, value in settings.items() if isinstance(value, str | int | float | bool)}
    return {"class_path": given.pop("_class_path"), "init_args": {k: v for k, v in given.items() if k[0] != "_"}}


def list_lengths(candidates: Path) -> tuple[int, int]:
    """Return how many candidates and negatives a photo has in a candidates file; what `retrieve` makes without one."""
    if not candidates.exists():
        return 20, 5
    try:
        with pq.ParquetFile(candidates) as file:
            lists = file.read_row_group(0, ["candidates", "negatives"])
            most, negatives = (pc.max(pc.list_value_length(column)).as_py() for column in lists.columns)
            return int(most), int(negatives)
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise GeorankerError(f"{candidates}: cannot be read ({error}); delete it, or make it again") from error


class RunPhotos:
    """The gallery's photos, from the benchmark that a run remembers, which is built when the first one is read.

    Args:
        data: the benchmark's class_path and init_args; empty if nobody knows it.
    """

    def __init__(self, data: Mapping[str, object]) -> None:
        self._data = data
        self._source: PhotoSource | None = None

    def read(self, photo_id: str) -> bytes:
        """Return the bytes of a photo.

        Raises:
            GeorankerError: the run does not say how to build its benchmark, or that has no such photo.
        """
        if self._source is None:
            self._source = self._built()
        return self._source.read(photo_id)

    def _built(self) -> PhotoSource:
        from georanker.data.base import GeoDataModule

        if not self._data:
            raise GeorankerError("its data is not known")
        path = Path("the run's data")
        built = build(path, GeoDataModule, "data", {"data": dict(self._data)}, "benchmark")  # type: ignore[type-abstract]
        if built.gallery_source is None:
            raise GeorankerError(f"{path}: holds no photos of the gallery")
        return built.gallery_source
