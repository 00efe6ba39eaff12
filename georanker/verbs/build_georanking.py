"""Make the paper's training lists for any photos and any gallery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from georanker.types import GeorankerError
from georanker.verbs.index import load_retriever

if TYPE_CHECKING:
    from georanker.data.base import GeoDataModule


def build_georanking(
    data: GeoDataModule,
    retriever: Path,
    gallery: Path,
    out: Path,
    splits: Sequence[str] = ("train",),
    photos: int | None = None,
    top_k: int = 19,
    negatives: int = 5,
    duplicate_cosine: float | None = 0.9999,
    related: Path | None = None,
    related_id: str = "photo_id",
    related_columns: Sequence[str] | None = None,
    photos_a_shard: int = 1024,
) -> None:
    """Make the paper's training lists for any photos and any gallery.

    The candidates of a photo are the nearest of the gallery, without the photo itself and its near-duplicates. Writes
    GeoRanking.parquet in the paper's format, which the data GeoRanking reads, and train.parquet, which any data reads
    through data.candidates. Names that the gallery lacks come from GeoNames.

    Start it in several processes with `torchrun --no-python --nproc_per_node 8 georanker build-georanking ...`, or with
    RANK and WORLD_SIZE in the environment. What a kill interrupts goes on with the same command, in any number of
    processes, and the files are the same to the last bit. For that, a process on a CPU computes with one thread.

    Args:
        data: the benchmark that the photos come from.
        retriever: a retriever's checkpoint.
        gallery: the folder that `georanker index` wrote with the same retriever.
        out: the folder to write.
        splits: which splits to write; those beside train become GeoRanking_SPLIT.parquet and SPLIT.parquet, which a
            ranker trains on under the name train.parquet.
        photos: how many photos of each split to take, evenly spread; all by default.
        top_k: candidates of each photo; the photo itself at rank 0 makes 20, as in the paper. With fewer than 12, the
            7 that GeoRanking trains on and the 5 that it names as negatives overlap.
        negatives: so many of them, from the tail, are the negatives of the candidates file.
        duplicate_cosine: photos whose vectors have at least this cosine are taken for the same; null for none.
        related: a CSV or parquet file with photos and their authors, sequences or the like: what shares a value with
            the photo is no candidate. For MP16_Pro_filtered.csv add --related_id IMG_ID --related_columns [AUTHOR].
        related_id: its column of photos.
        related_columns: its columns of authors and so on; all others by default.
        photos_a_shard: photos after which what is done is safe.
    """
    import torch
    from rich.console import Console

    from georanker.job_folder import place_of_process
    from georanker.retrievers.gallery import Gallery
    from georanker.training_lists.distinct_neighbours import DistinctNeighbours
    from georanker.training_lists.related import Related
    from georanker.training_lists.training_lists import TrainingLists

    if not 0 <= negatives < top_k:
        raise GeorankerError(f"negatives must be at least 0 and below top_k, which is {top_k}, not {negatives}")
    for name, count in (("photos", photos), ("photos_a_shard", photos_a_shard)):
        if count is not None and count < 1:
            raise GeorankerError(f"{name} must be at least 1, not {count}")
    if not splits:
        raise GeorankerError("splits is empty: name those to write, such as [train]")
    rank, processes = place_of_process()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # sums of several threads differ in their last bits
    model = load_retriever(retriever)
    data.beside = out
    data.collator = model.collator  # it reads photos: what the data say of candidates does not matter
    places = Gallery.load(gallery, data.gallery_source)
    shared = Related(related, related_id, related_columns) if related else None
    neighbours = DistinctNeighbours(places, top_k, duplicate_cosine, shared)
    for split in splits:
        job = TrainingLists(data, split, model, neighbours, negatives, out, photos, photos_a_shard)
        job.run(rank, processes, Console(quiet=rank > 0))
