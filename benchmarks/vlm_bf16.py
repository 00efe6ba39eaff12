"""How sharing rounds in bfloat16: which candidates change places, beside what bfloat16 does to the plain computation.

python benchmarks/vlm_bf16.py
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from georanker.backbones.vlm import VLMBackbone
from georanker.files import write_json
from georanker.types import CandidateList

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import vlm_world as world

RESULTS = Path(__file__).parent / "results" / "vlm_bf16.json"


def main() -> None:
    """Score, compare, print and write."""
    parser = argparse.ArgumentParser(description="What rounding does to the order of candidates.")
    parser.add_argument("--queries", type=int, default=8)
    parser.add_argument("--candidates", type=int, default=15)
    arguments = parser.parse_args()
    rows: dict[str, dict[str, world.Figure]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = str(world.make_model(folder / "model"))
        photos = world.make_photos(folder / "photos", arguments.queries * (1 + arguments.candidates))
        lists = world.make_lists(photos, arguments.queries, arguments.candidates)
        for prompt_name, prompt in world.prompts().items():
            exact = VLMBackbone(model, prompt=prompt, share=False).eval()
            plain, shared = (VLMBackbone(model, prompt=prompt, dtype="bfloat16", share=s).eval() for s in (False, True))
            for backbone in (plain, shared):
                backbone.head.load_state_dict(exact.head.state_dict())
            found = [scores(backbone, lists) for backbone in (exact, plain, shared)]
            rows[f"{prompt_name}: plain bfloat16 against float32"] = changed(found[1], found[0])
            rows[f"{prompt_name}: shared bfloat16 against float32"] = changed(found[2], found[0])
            rows[f"{prompt_name}: shared against plain, both bfloat16"] = changed(found[2], found[1])
    table = Table(title="pairs of candidates that change places", title_justify="left")
    table.add_column("prompt: what against what", no_wrap=True)
    for head in ("pairs", "change places", "largest gap of those", "largest difference", "spread"):
        table.add_column(head, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(f"{figure:.4g}" for figure in row.values()))
    Console(width=140).print(table)
    content = {"settings": vars(arguments), "rows": rows, "versions": world.versions()}
    write_json(RESULTS, content)


@torch.no_grad()
def scores(backbone: VLMBackbone, lists: list[CandidateList]) -> Tensor:
    """Return (B, K) float32 scores."""
    return torch.cat([backbone(backbone.collator([found])) for found in lists])


def changed(scores: Tensor, reference: Tensor) -> dict[str, world.Figure]:
    """Compare the order of scores with that of a reference.

    Args:
        scores: (B, K).
        reference: (B, K).
    """
    ahead = reference[:, :, None] - reference[:, None]
    pairs = ahead > 0
    behind = pairs & (scores[:, :, None] < scores[:, None])
    return {
        "pairs": int(pairs.sum()),
        "change_places": int(behind.sum()),
        "largest_gap_of_those": float(ahead[behind].max()) if behind.any() else 0.0,
        "max_abs_diff": float((scores - reference).abs().max()),
        "spread": float(reference.std(1).mean()),
    }


if __name__ == "__main__":
    main()
