"""Embed a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from georanker.data.base import GeoDataModule
    from georanker.retrievers.base import Retriever


def index(data: GeoDataModule, retriever: Path, out: Path) -> None:
    """Embed the gallery of a benchmark with a trained retriever.

    What data.on_bad_rows=skip leaves out is written down in a folder beside it, OUT.left_out.

    Args:
        data: the benchmark; its split `gallery` is embedded.
        retriever: a retriever's checkpoint.
        out: the folder to write.
    """
    from rich.progress import Progress

    from georanker.data.placed import placed
    from georanker.retrievers.gallery import Gallery

    Gallery.check_place(out)
    model = load_retriever(retriever)
    data.beside = out.with_name(f"{out.name}.left_out")  # the folder itself is written whole
    photos = placed(data.photos("gallery"), "gallery", data.on_bad_rows)
    batches = data.photo_loader(photos, model.collator)
    with Progress() as bar:
        made = model.index(photos, bar.track(batches, description=f"Embedding a gallery of {len(photos):,}"))
    made.save(out)


def load_retriever(checkpoint: Path) -> Retriever:
    """Build a retriever from its checkpoint, which holds weights and settings but no code.

    Raises:
        GeorankerError: the file is missing, or not a retriever's checkpoint.
    """
    from georanker.checkpoint import load_module
    from georanker.retrievers.base import Retriever

    return load_module(checkpoint, Retriever, "retriever")  # type: ignore[type-abstract]
