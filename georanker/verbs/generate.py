"""Let a language model guess candidates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from georanker.types import GeorankerError

if TYPE_CHECKING:
    from georanker.data.base import GeoDataModule
    from georanker.generators.base import Generator


def generate(data: GeoDataModule, generator: Generator, out: Path, splits: Sequence[str] = ("test",)) -> None:
    """Let a language model guess where each photo was taken, and write its guesses as candidates for the ranker.

    They stand after the retrieved candidates that the data have, in a candidates file for each split, which any data
    reads through data.candidates; guesses that the data have already are replaced. The answers are kept word for word
    beside it, in SPLIT.answers.parquet. An answer that names no place on the Earth is no candidate, and neither is
    (0, 0).

    Start it in several processes with `torchrun --no-python --nproc_per_node 8 georanker generate ...`, or with RANK
    and WORLD_SIZE in the environment. What a kill interrupts goes on with the same command, in any number of processes.

    Args:
        data: the benchmark that the photos, and the retrieved candidates, come from.
        generator: the language model, and what it is asked.
        out: the folder to write.
        splits: which splits to write.
    """
    from rich.console import Console

    from georanker.candidates import write_candidates
    from georanker.generators.guesses import Guesses
    from georanker.job_folder import place_of_process

    if not splits:
        raise GeorankerError("splits is empty: name those to write, such as [test]")
    data.beside = out
    rank, processes = place_of_process()
    for split in splits:
        told = data.retrieved(split)
        lists = data.uncut_lists(split) if told is None else told
        photos = data.photos(split) if lists is None else ()
        guesses = Guesses(generator, photos, lists, out / f"{split}.answers.parquet")
        if not guesses.ask(rank, processes, Console(quiet=rank > 0)):
            continue  # another process writes the file
        gallery = Path(lists.gallery) if lists is not None and lists.gallery else None
        head = (told.retriever, gallery, told.attribution) if told else ("", gallery, "")
        written = write_candidates(out / f"{split}.parquet", guesses.with_guesses(), *head)
        console = Console(soft_wrap=True, highlight=False)
        places = list(guesses.places())
        named = len(places) - places.count(None)
        console.print(f"{out / split}.parquet: {written:,} lists; {named:,} of {len(places):,} answers name a place")
        if written < len(guesses.ids):
            left = len(guesses.ids) - written
            console.print(f"{left:,} photos have no candidate: figures will be of the {written:,} others")
