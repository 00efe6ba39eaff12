"""Photos through the vision tower, each of them once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from georanker.vlm.patch_embedding import multiplied_patches

GRID = "image_grid_thw"
"""The patches of a photo in time, height and width, in models that count them."""
KEY, TEXT = "key", "text"
"""What a photo brings along whose features are to be kept: their name, and what takes its place in a prompt."""


def level_name(number: int) -> str:
    """Return the name of a level of features that a photo brings along."""
    return f"level{number}"


@dataclass(frozen=True, slots=True)
class PhotoFeatures:
    """The features of all photos of a batch, one below the other."""

    levels: tuple[Tensor, ...]
    """(T, H) each: what takes the place of the photos' tokens, then what deeper layers of the model add there."""
    listed: tuple[bool, ...]
    """For each level whether the model expects a list of tensors, not one tensor."""
    starts: Tensor
    """(P,) the first row of each photo."""
    grids: Tensor
    """(P, 3) the patches of each photo in time, height and width; (P, 0) for models that do not count them."""

    def photos_at(self, rows: Tensor) -> Tensor:
        """Return the numbers of the photos that `rows` begin, in their order."""
        starts = self.starts.to(rows.device)
        first = rows[torch.isin(rows, starts)]
        return torch.searchsorted(starts, first, right=True) - 1

    @contextmanager
    def given_to(self, model: Any, rows: Tensor) -> Iterator[None]:
        """Let a model find its photos' features ready, whatever it does with them.

        Args:
            model: calls its own `get_image_features` inside this context.
            rows: (R,) which features its prompts want, in the order of their tokens.
        """
        first, *deeper = (
            [level[rows]] if listed else level[rows] for level, listed in zip(self.levels, self.listed, strict=True)
        )
        output = SimpleNamespace(pooler_output=first, deepstack_features=deeper)
        model.get_image_features = lambda *_, **__: output
        try:
            yield
        finally:
            del model.get_image_features


def photo_features(
    model: Any, photos: Sequence[Mapping[str, Tensor]], counts: Tensor, tokens_at_once: int = 16384
) -> PhotoFeatures:
    """Run photos through the vision tower, those of one shape together; a tower that counts patches takes any shapes.

    Args:
        model: the one below the vocabulary head.
        photos: the inputs of the tower for each photo, at least one, or its features from a `FeatureStore`.
        counts: (P,) how many tokens each photo takes in a prompt.
        tokens_at_once: photos are run together up to so many of them; on a processor one by one.
    """
    sizes = counts.tolist()
    found = [_kept(photo) for photo in photos]
    listed = next((tuple(photo["listed"].tolist()) for photo in photos if "listed" in photo), ())
    groups: dict[object, list[int]] = {}
    for number, photo in enumerate(photos):
        if not found[number]:
            free = int(GRID in photo)  # patches of several photos stand one below the other, whatever their number
            shapes = tuple((name, part.shape[free:]) for name, part in sorted(photo.items()) if name not in (KEY, TEXT))
            groups.setdefault(shapes, []).append(number)
    on_processor = counts.device.type == "cpu"  # which works fastest on what fits into its caches
    for numbers in together(groups.values(), sizes, 1 if on_processor else tokens_at_once):
        names = photos[numbers[0]].keys() - {KEY, TEXT}
        inputs = {name: torch.cat([photos[number][name] for number in numbers]) for name in names}
        with multiplied_patches(model):
            out = model.get_image_features(**inputs, return_dict=True)
        given = [out.pooler_output, *(getattr(out, "deepstack_features", None) or ())]
        listed = tuple(not isinstance(level, Tensor) for level in given)
        split = [torch.split(_rows(level), [sizes[number] for number in numbers]) for level in given]
        for place, number in enumerate(numbers):
            found[number] = [level[place] for level in split]
    stacked = tuple(torch.cat(level) for level in zip(*found, strict=True))
    grids = torch.cat([photo.get(GRID, counts.new_empty(1, 0)) for photo in photos])
    return PhotoFeatures(stacked, listed, counts.cumsum(0) - counts, grids)


def together(groups: Iterable[Sequence[int]], sizes: Sequence[int], tokens: int) -> Iterator[Sequence[int]]:
    """Yield the photos of each group, as many at a time as have so many tokens, and at least one.

    Args:
        groups: numbers of photos that can go together.
        sizes: the tokens of each photo.
        tokens: the most at a time.
    """
    for group in groups:
        some: list[int] = []
        held = 0
        for number in group:
            if some and held + sizes[number] > tokens:
                yield some
                some, held = [], 0
            some.append(number)
            held += sizes[number]
        yield some


def _kept(photo: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the levels of features that a photo brings along."""
    return [photo[name] for name in map(level_name, range(len(photo))) if name in photo]


def _rows(features: Tensor | Sequence[Tensor]) -> Tensor:
    """Return features as (T, H), whether they come in one tensor or in one a photo."""
    tensors = [features] if isinstance(features, Tensor) else features
    return torch.cat([tensor.reshape(-1, tensor.shape[-1]) for tensor in tensors])
