"""Scoring candidates with a vision-language model: ours against the public way, from photo files to scores.

Both run in this process, on the same weights and files, and take turns. The table says how many times as fast ours is.

    python benchmarks/vlm_scoring.py
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from pathlib import Path

import torch

from georanker.backbones.vlm import VLMBackbone
from georanker.prompts.base import Prompt
from georanker.types import CandidateList

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import vlm_world as world


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Ranking with a vision-language model, ours and the public way.")
    parser.add_argument("--model", help="a folder or a hub's id; a random Qwen2-VL if none")
    parser.add_argument("--shape", choices=["10m", *world.REAL], default="10m", help="of the random Qwen2-VL")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--queries", type=int, default=2)
    parser.add_argument("--candidates", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows: dict[str, dict[str, world.Figure]] = {}
    tokens: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or str(world.make_model(folder / "model", arguments.shape, arguments.device))
        photos = world.make_photos(folder / "photos", arguments.queries * (1 + arguments.candidates))
        lists = world.make_lists(photos, arguments.queries, arguments.candidates)
        backbone = VLMBackbone(
            model,
            dtype=arguments.dtype,
            reencode_jpeg=world.JPEG_QUALITY,
            tokens_at_once=1 << 20,
            feature_cache=folder / "features",
        )
        backbone.eval().to(arguments.device)
        for prompt_name, prompt in world.prompts().items():
            for way, row in measure(backbone, prompt, lists, arguments.rounds).items():
                rows[f"{prompt_name}: {way}"] = row
            tokens[prompt_name] = world.lengths(world.our_collator(backbone, prompt), lists)
    shape = world.shape(backbone)
    title = f"{arguments.candidates} candidates, {shape['million_parameters']:,} M parameters"
    world.report("vlm_scoring", rows, title, arguments, {"shape": shape, "tokens": tokens})
    for prompt_name, counted in tokens.items():
        print(f"{prompt_name}: {counted}")


@torch.no_grad()
def measure(
    backbone: VLMBackbone, prompt: Prompt, lists: list[CandidateList], rounds: int
) -> dict[str, dict[str, world.Figure]]:
    """Score the lists in each way, in turns, and return what it took."""
    read = functools.partial(world.public_inputs, backbone, prompt)
    score, public = (functools.partial(way, backbone) for way in (world.our_scores, world.public_scores))
    ours, cached = (world.our_collator(backbone, prompt, cached=each) for each in (False, True))
    ways = {
        "public way": world.Way(read, public),
        "public way without its logits": world.Way(read, functools.partial(public, logits=False)),
        "ours": world.Way(lambda found: ours([found]), score),
        "ours, photos cached": world.Way(lambda found: cached([found]), score),
    }
    return world.compare(ways, lists, rounds)


if __name__ == "__main__":
    main()
