"""Embed a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from georanker.types import GeorankerError

if TYPE_CHECKING:
    from georanker.data.base import GeoDataModule
    from georanker.retrievers.base import Retriever


def index(data: GeoDataModule, retriever: Path, out: Path) -> None:
    """Embed the gallery of a benchmark with a trained retriever.

    Args:
        data: the benchmark; its split `gallery` is embedded.
        retriever: a retriever's checkpoint.
        out: the folder to write.
    """
    from rich.progress import track

    model = load_retriever(retriever)
    photos = data.photos("gallery")
    batches = data.loader(photos, model.collator)
    model.index(photos, track(batches, f"Embedding a gallery of {len(photos):,}")).save(out)


def load_retriever(checkpoint: Path) -> Retriever:
    """Build a retriever from its checkpoint, which holds weights and settings but no code.

    Raises:
        GeorankerError: the file is missing, or not a retriever's checkpoint.
    """
    import pickle
    import textwrap

    import torch

    from georanker.retrievers.base import Retriever

    try:
        model = Retriever.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise GeorankerError(f"{checkpoint}: not there; name the checkpoint of a trained retriever") from error
    except (EOFError, LookupError, pickle.UnpicklingError) as error:
        raise GeorankerError(f"{checkpoint}: not a checkpoint, or cut short") from error
    except (OSError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        reason = textwrap.shorten(str(error).partition(" and was blocked")[0], 200)
        raise GeorankerError(f"{checkpoint}: cannot be read as a retriever's checkpoint ({reason})") from error
    if not isinstance(model, Retriever):
        raise GeorankerError(f"{checkpoint}: holds a {type(model).__name__}, which is not a retriever")
    return model.to("cuda" if torch.cuda.is_available() else "cpu")
