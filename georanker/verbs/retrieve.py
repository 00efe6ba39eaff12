"""Write candidates files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from georanker.types import GeorankerError
from georanker.verbs.index import load_retriever

if TYPE_CHECKING:
    from georanker.data.base import GeoDataModule


def retrieve(
    data: GeoDataModule,
    retriever: Path,
    gallery: Path,
    out: Path,
    top_k: int = 20,
    negatives: int = 5,
    splits: Sequence[str] = ("train", "val", "test"),
) -> None:
    """Look up the candidates of each photo, and write them for the ranker.

    Names that the gallery lacks come from GeoNames.

    Args:
        data: the benchmark that the photos come from.
        retriever: a retriever's checkpoint.
        gallery: the folder that `georanker index` wrote with the same retriever.
        out: the folder to write; each split becomes a parquet file.
        top_k: candidates per photo.
        negatives: as many of the places that follow the candidates, which a prompt may name: the paper's are the last
            of its full list of 20, before that is cut to candidates.
        splits: which splits to write.
    """
    from rich.progress import Progress

    from georanker.candidates import write_candidates
    from georanker.gazetteer import ATTRIBUTION, gazetteer
    from georanker.retrievers.gallery import Gallery

    if not splits:
        raise GeorankerError("splits is empty: name those to write, such as [val, test]")
    model = load_retriever(retriever)
    data.beside = out
    data.collator = model.collator  # it reads photos: what the data say of candidates does not matter
    places = Gallery.load(gallery, data.gallery_source)
    for split in splits:
        photos = data.photos(split)
        told = f"Retrieving for {len(photos):,} photos of {split}"
        with Progress() as bar:  # gone with an error, too, and not when somebody lets go of the lists
            batches = bar.track(data.photo_loader(photos, model.collator), description=told)
            lists = gazetteer().named_lists(model.stream(photos, batches, places, top_k, negatives))
            write_candidates(out / f"{split}.parquet", lists, model.fingerprint(), gallery, ATTRIBUTION)
