"""A training step of a vision-language ranker: ours against the public way, from photo files to gradients.

Both run in this process, on the same weights and files, and take turns: LoRA on the queries, keys and values, seven
candidates a photo, the multi-order distance loss.

    python benchmarks/vlm_training.py
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from georanker.backbones.vlm import VLMBackbone
from georanker.losses.multi_order_distance import MultiOrderDistance
from georanker.prompts.base import Prompt
from georanker.types import CandidateList

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import vlm_world as world


def main() -> None:
    """Measure, print and write."""
    from peft import LoraConfig

    parser = argparse.ArgumentParser(description="Training with a vision-language model, ours and the public way.")
    parser.add_argument("--model", help="a folder or a hub's id; a random Qwen2-VL if none")
    parser.add_argument("--shape", choices=["10m", *world.REAL], default="10m", help="of the random Qwen2-VL")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--queries", type=int, default=2)
    parser.add_argument("--candidates", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=["q_proj", "k_proj", "v_proj"])
    rows: dict[str, dict[str, world.Figure]] = {}
    tokens: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or str(world.make_model(folder / "model", arguments.shape, arguments.device))
        photos = world.make_photos(folder / "photos", arguments.queries * (1 + arguments.candidates))
        lists = world.make_lists(photos, arguments.queries, arguments.candidates)
        backbone = VLMBackbone(
            model,
            lora=lora,
            dtype=arguments.dtype,
            reencode_jpeg=world.JPEG_QUALITY,
            reencode_query_jpeg=world.JPEG_QUALITY,
            tokens_at_once=1 << 20,
        )
        backbone.train().to(arguments.device)
        torch.manual_seed(0)
        for weight in backbone.parameters():
            if weight.requires_grad:
                torch.nn.init.normal_(weight, std=0.02)  # a fresh adapter is zero, and so are half its gradients
        for prompt_name, prompt in world.prompts().items():
            for way, row in measure(backbone, prompt, lists, arguments.rounds).items():
                rows[f"{prompt_name}: {way}"] = row
            tokens[prompt_name] = world.lengths(world.our_collator(backbone, prompt), lists)
    shape = world.shape(backbone)
    title = f"a training step of {arguments.candidates} candidates, {shape['million_parameters']:,} M parameters"
    world.report("vlm_training", rows, title, arguments, {"shape": shape, "tokens": tokens})
    for prompt_name, counted in tokens.items():
        print(f"{prompt_name}: {counted}")


def measure(
    backbone: VLMBackbone, prompt: Prompt, lists: list[CandidateList], rounds: int
) -> dict[str, dict[str, world.Figure]]:
    """Make the gradients of each list in both ways, in turns, and return what it took."""
    loss = MultiOrderDistance(first_order_weight=0.7, top=1)

    def step(score: Callable[[VLMBackbone, Any], Tensor], given: object) -> Tensor:
        backbone.zero_grad()
        scores = score(backbone, given)
        distances = torch.arange(1.0, len(scores) + 1, device=scores.device)
        value: Tensor = loss(scores[None], distances[None])
        value.backward()  # type: ignore[no-untyped-call]
        parts = [weight.grad.flatten() for weight in backbone.parameters() if weight.grad is not None]
        return torch.cat(parts).cpu()

    public = functools.partial(world.public_inputs, backbone, prompt, query_jpeg=True)
    collator = world.our_collator(backbone, prompt)
    ways = {
        "public way": world.Way(public, functools.partial(step, world.public_scores)),
        "ours": world.Way(lambda found: collator([found]), functools.partial(step, world.our_scores)),
    }
    return world.compare(ways, lists, rounds, relative=True)


if __name__ == "__main__":
    main()
