"""How many operations it takes to score a photo's candidates with Qwen2-VL-7B: the public way, ours, and the limit.

Nothing is measured here: the operations are counted from the shape of the model (its public config) and from the
tokens of a prompt, which `benchmarks/vlm_scoring.py` prints for photos of 500 x 375 and five negatives. "cached" has
the features of the gallery's photos at hand; "limit" is what the candidates' own tokens need and nothing else.

    python benchmarks/vlm_arithmetic.py
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

# Qwen2-VL-7B-Instruct, config.json.
HIDDEN, LAYERS, HEADS_KV, HEAD, MLP, VOCABULARY = 3584, 28, 4, 128, 18944, 152064
VISION_HIDDEN, VISION_LAYERS, VISION_MLP, PATCH, MERGED = 1280, 32, 5120, 14, 4


@dataclass(frozen=True)
class Work:
    """Scoring the candidates of one photo."""

    candidates: int = 15
    width: int = 500
    height: int = 375
    negatives: int = 5
    frame: int = 27  # tokens of the chat template and of the question up to the first number
    about: int = 37  # tokens of a candidate's numbers, its names and the end of the turn
    negative: int = 31  # tokens of a negative

    @property
    def patches(self) -> int:
        """Patches of a photo."""
        side = 2 * PATCH
        return MERGED * round(self.width / side) * round(self.height / side)

    def prompt(self, shared_first: bool) -> tuple[int, int]:
        """Return the tokens that all candidates share, and those of each."""
        photo, negatives = self.patches // MERGED, self.negatives * self.negative
        shared, own = self.frame + photo, self.about + photo
        return (shared + negatives, own) if shared_first else (shared, own + negatives)


def language(tokens: int, contexts: float, wanted: int | None = None, last_context: float = 0.0) -> float:
    """Operations of the layers on some tokens that each attend to so many others.

    Of the last layer only `wanted` tokens are read, which attend to `last_context` others; the keys and values of all
    tokens are made all the same. None reads all of it.
    """
    keys_and_values, others = 2 * HIDDEN * HEADS_KV * HEAD, 2 * HIDDEN * HIDDEN + 3 * HIDDEN * MLP
    layer = tokens * (2 * (keys_and_values + others) + 4 * contexts * HIDDEN)
    if wanted is None:
        return LAYERS * layer
    last = tokens * 2 * keys_and_values + wanted * (2 * others + 4 * last_context * HIDDEN)
    return (LAYERS - 1) * layer + last


def vision(patches: int) -> float:
    """Operations of the vision tower on a photo."""
    layer = 2 * (4 * VISION_HIDDEN**2 + 2 * VISION_HIDDEN * VISION_MLP) + 4 * patches * VISION_HIDDEN
    merge = 2 * (VISION_MLP**2 + VISION_MLP * HIDDEN) / MERGED
    return patches * (VISION_LAYERS * layer + merge)


def ways(work: Work) -> dict[str, tuple[float, float, float]]:
    """Return for each way the operations of the tower, of the layers and of the vocabulary."""
    found: dict[str, tuple[float, float, float]] = {}
    shared, own = work.prompt(shared_first=False)
    length, k, tower = shared + own, work.candidates, vision(work.patches)
    pairs = language(k * length, length / 2)
    found["public way"] = (2 * k * tower, pairs, 2.0 * k * length * HIDDEN * VOCABULARY)
    for name, first in (("paper's prompt", False), ("shared first", True)):
        shared, own = work.prompt(first)
        alone = language(k * own, shared + own / 2, k, shared + own)
        layers = alone + language(shared, shared / 2, 0)
        found[name] = ((k + 1) * tower, layers, 0.0)
        found[f"{name}, cached"] = (tower, layers, 0.0)
        found[f"{name}, limit"] = (0.0, alone, 0.0)
    return found


def show(title: str, works: dict[str, Work]) -> None:
    """Print how often ours is less work than the public way."""
    table = Table(title=title, title_justify="left")
    table.add_column("times less work", no_wrap=True)
    for head in works:
        table.add_column(head, justify="right")
    sums = [{name: sum(parts) for name, parts in ways(work).items()} for work in works.values()]
    for name in sums[0]:
        table.add_row(name, *(f"{found['public way'] / found[name]:.2f}" for found in sums))
    Console(width=100).print(table)


def main() -> None:
    """Print the tables."""
    work = Work()
    table = Table(title="10^12 operations a photo", title_justify="left")
    for head in ("", "vision tower", "layers", "vocabulary", "all", "times less"):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    public = sum(ways(work)["public way"])
    for name, parts in ways(work).items():
        table.add_row(name, *(f"{x / 1e12:.1f}" for x in (*parts, sum(parts))), f"{public / sum(parts):.2f}")
    Console(width=100).print(table)
    show("candidates", {str(k): replace(work, candidates=k) for k in (1, 7, 15, 30, 100)})
    sizes = ((250, 188), (500, 375), (1000, 750), (1500, 1125))
    show("size of the photos", {f"{w} x {h}": replace(work, width=w, height=h) for w, h in sizes})
    show("negatives", {str(n): replace(work, negatives=n) for n in (0, 5, 10, 20)})


if __name__ == "__main__":
    main()
