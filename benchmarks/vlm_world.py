"""Photos, lists and a model for the benchmarks of vision-language rankers, and the public way of scoring them."""

from __future__ import annotations

import base64
import functools
import io
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText

from georanker.backbones.vlm import VLMBackbone
from georanker.backbones.vlm_collator import VLMCollator
from georanker.files import write_json
from georanker.prompts.base import Prompt
from georanker.prompts.template_prompt import TemplatePrompt
from georanker.types import Candidate, CandidateList, Photo, Place, RankingBatch
from tests.tiny_vlms import tiny_vlm

ROOT = Path(__file__).parent.parent
Figure = int | float
_WORDS = 2048
JPEG_QUALITY = 75  # of the paper's code
REAL = {
    "2b": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
    },
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
    },
}
SIZES = [(500, 375), (375, 500), (500, 333), (500, 400)]  # of the photos of MP-16, about
NAMES = [
    ("Lisbon", "Lisboa", "Portugal"),
    ("Springfield", "Ohio", "United States"),
    ("Kyoto", "Kyoto", "Japan"),
    ("Nairobi", "Nairobi Area", "Kenya"),
    ("Cusco", "Cusco", "Peru"),
    ("Bergen", "Vestland", "Norway"),
]


def prompts() -> dict[str, Prompt]:
    """Return the paper's prompt, and the one of ours that puts first what the candidates share."""
    read = yaml.safe_load((ROOT / "configs/prompt/shared_first.yaml").read_text(encoding="utf-8"))
    return {"paper": TemplatePrompt(), "shared first": TemplatePrompt(**read["init_args"])}


class Folder:
    """Photos of a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, photo_id: str) -> bytes:
        """Return the file of a photo."""
        return (self.path / f"{photo_id}.jpg").read_bytes()


def make_photos(folder: Path, count: int) -> Folder:
    """Write smooth random photos as JPEG files."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(random.integers(0, 255, (24, 32, 3), dtype=np.uint8))
        small.resize(SIZES[number % len(SIZES)], Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=90)
    return Folder(folder)


def make_lists(photos: Folder, queries: int, candidates: int, negatives: int = 5) -> list[CandidateList]:
    """Return lists whose candidates all have photos and names, with the paper's five negatives."""
    random = np.random.default_rng(1)

    def candidate(photo: int | None) -> Candidate:
        city, state, country = NAMES[random.integers(len(NAMES))]
        latitude, longitude = round(random.uniform(-60, 70), 6), round(random.uniform(-180, 180), 6)
        shown = None if photo is None else Photo(str(photo), source=photos)
        return Candidate(Place(latitude, longitude, city, state, country), photo=shown)

    return [
        CandidateList(
            Photo(str(query), Place(10.0, 10.0), photos),
            tuple(candidate(queries + query * candidates + number) for number in range(candidates)),
            tuple(candidate(None) for _ in range(negatives)),
        )
        for query in range(queries)
    ]


def make_model(folder: Path, shape: str = "10m", device: str = "cpu") -> Path:
    """Write a Qwen2-VL of random weights, whose tokenizer takes digits and words as the real one does.

    That of 10 million has a vocabulary with the share of the language model's products that Qwen2-VL-7B's has, 8 %:
    the public way computes them.

    Args:
        folder: for the model.
        shape: 10m, or the real 2b and 7b, whose weights are bfloat16.
        device: that makes the weights.
    """
    words = " ".join(" ".join(names) for names in NAMES)
    asked = "How far is this place from latitude: , longitude: , ? Negative examples: latitude: ; latitude: -"
    system = "system You are a helpful assistant. user assistant"
    sentences = ["Yes", "No", f" {words} {asked}", f"{words} {asked}", system]
    tiny_vlm("qwen2_vl", folder, hidden_size=256, layers=8, sentences=sentences)
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(0)
        if shape in REAL:
            model = AutoModelForImageTextToText.from_config(real_config(folder, shape), dtype=torch.bfloat16)
        else:
            model = AutoModelForImageTextToText.from_pretrained(folder)
            model.resize_token_embeddings(_WORDS, mean_resizing=False)
    model.save_pretrained(folder)
    return folder


def real_config(folder: Path, shape: str) -> Any:
    """Return the configuration of a real Qwen2-VL, with the tokens of the tokenizer in a folder.

    Source: config.json of Qwen2-VL-2B-Instruct and Qwen2-VL-7B-Instruct.
    """
    config = AutoConfig.from_pretrained(folder)
    width = REAL[shape]["hidden_size"]
    layers = {"num_hidden_layers": 28, "layer_types": ["full_attention"] * 28}
    for name, value in {**REAL[shape], **layers}.items():
        setattr(config.text_config, name, value)
    config.text_config.rope_parameters["mrope_section"] = [16, 24, 24]
    config.tie_word_embeddings = shape == "2b"
    for name, value in {"depth": 32, "embed_dim": 1280, "num_heads": 16, "hidden_size": width}.items():
        setattr(config.vision_config, name, value)
    return config


def public_inputs(
    backbone: VLMBackbone, prompt: Prompt, found: CandidateList, query_jpeg: bool = False
) -> Mapping[str, Tensor]:
    """Read the prompts of a list as the public code does: a pair at a time, each with both of its photos.

    The photo that is asked about is decoded for each candidate, and the candidate's photo sent through JPEG and base64;
    in training the photo that is asked about too.
    """
    texts, images = [], []
    for candidate in found.candidates:
        content: list[dict[str, str]] = []
        shown: list[Image.Image] = []
        for part in prompt.parts(found, candidate):
            if isinstance(part, Photo):
                image = part.load()
                shown.append(image if part is found.photo and not query_jpeg else _sent(image))
                content.append({"type": "image"})
            else:
                content.append({"type": "text", "text": part})
        texts.append(
            backbone.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
        )
        images.append(shown)
    made: Mapping[str, Tensor] = backbone.processor(text=texts, images=images, padding=True, return_tensors="pt")
    return made


def public_scores(backbone: VLMBackbone, inputs: Mapping[str, Tensor], logits: bool = True) -> Tensor:
    """Score a list as the public code does: each pair in full, and the vocabulary's logits, which nobody asks for."""
    device = backbone.model.device
    states: list[Tensor] = []
    hook = backbone.model.model.register_forward_hook(lambda _, __, out: states.append(out.last_hidden_state))
    try:
        (backbone.model if logits else backbone.model.model)(
            **{name: tensor.to(device) for name, tensor in inputs.items()}, use_cache=False
        )
    finally:
        hook.remove()
    scores: Tensor = backbone.head(states[0][:, -1].float())
    return scores


def our_collator(backbone: VLMBackbone, prompt: Prompt, cached: bool = True) -> VLMCollator:
    """Return what reads the prompts of lists as ours does, with or without the backbone's cache of features."""
    reader = backbone.reader if cached else replace(backbone.reader, store=None)
    return VLMCollator(reader, prompt, backbone.unread.context, backbone.reencode_jpeg, backbone.reencode_query_jpeg)


def our_scores(backbone: VLMBackbone, batch: RankingBatch) -> Tensor:
    """Score a list as ours does."""
    scores: Tensor = backbone(batch.to(backbone.model.device))
    return scores[0]


def _sent(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return Image.open(io.BytesIO(base64.b64decode(base64.b64encode(buffer.getvalue())))).convert("RGB")


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most memory that the tensors of some work held at a time."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        work()
    events = [event for event in profile.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def lengths(collator: VLMCollator, lists: Sequence[CandidateList]) -> dict[str, int]:
    """Return how many tokens the public way and ours read, and how many photos they look at."""
    from georanker.vlm.language import Prompts
    from georanker.vlm.shared import shared_tokens

    public = ours = 0
    for found in lists:
        inputs = collator([found]).inputs
        prompts = Prompts(inputs["ids"][0], inputs["rows"][0], inputs["lengths"][0])
        shared = shared_tokens(prompts, slice(0, len(prompts)))
        public += int(prompts.lengths.sum())
        ours += shared + int((prompts.lengths - shared).sum())
    pairs = sum(map(len, lists))
    return {"public": public, "ours": ours, "public_photos": 2 * pairs, "our_photos": pairs + len(lists)}


def versions() -> dict[str, str]:
    """Return what the figures were measured with."""
    return {name: version(name) for name in ("georanker", "torch", "transformers", "peft", "numpy", "pillow")}


def shape(backbone: VLMBackbone) -> dict[str, int | float]:
    """Return the size of the model."""
    text = backbone.model.config.get_text_config()
    million = sum(parameter.numel() for parameter in backbone.model.parameters()) / 1e6
    return {"hidden": text.hidden_size, "layers": text.num_hidden_layers, "million_parameters": round(million, 1)}


@dataclass(frozen=True)
class Way:
    """How a list becomes numbers."""

    read: Callable[[CandidateList], Any]
    """Photo files and prompts, on the processor."""
    run: Callable[[Any], Tensor]
    """The model, on its device."""

    def __call__(self, found: CandidateList) -> Tensor:
        """Return the numbers of a list, on the processor."""
        return self.run(self.read(found)).cpu()


def compare(
    ways: dict[str, Way], lists: list[CandidateList], rounds: int, relative: bool = False
) -> dict[str, dict[str, Figure]]:
    """Do the work in each way, in turns, and return what it took; the first way is what the others are compared with.

    Args:
        ways: from a list to its numbers.
        lists: the work.
        rounds: how often each list is taken.
        relative: whether numbers differ by a share of the largest, not by an amount.
    """
    public = next(iter(ways))
    made = {name: [way(found) for found in lists] for name, way in ways.items()}  # warms up, too
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    models: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for found in lists:
            for name, way in ways.items():
                start = time.perf_counter()
                given = way.read(found)
                between = time.perf_counter()
                way.run(given).cpu()
                end = time.perf_counter()
                seconds[name].append(end - start)
                models[name].append(end - between)
    peaks = {name: peak_bytes(functools.partial(way, lists[0])) for name, way in ways.items()}
    usual, usual_model = statistics.median(seconds[public]), statistics.median(models[public])
    scale = max(float(numbers.abs().max()) for numbers in made[public]) if relative else 1.0
    rows: dict[str, dict[str, Figure]] = {}
    for name in ways:
        whole, model = statistics.median(seconds[name]), statistics.median(models[name])
        off = max(float((a - b).abs().max()) for a, b in zip(made[name], made[public], strict=True))
        rows[name] = {
            "seconds_a_photo": round(whole, 4),
            "ratio": round(usual / whole, 2),
            "model_seconds": round(model, 4),
            "model_ratio": round(usual_model / model, 2),
            "peak_memory_mb": round(peaks[name] / 1e6, 1),
            "peak_memory_ratio": round(peaks[name] / peaks[public], 3),
            "max_abs_diff": off / scale,
        }
    return rows


def report(name: str, rows: dict[str, dict[str, Figure]], title: str, arguments: Namespace, content: Any) -> None:
    """Print a table of what each way took, and write it; what was measured with a real shape has a file of its own."""
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{torch.get_num_threads()} threads"
    table = Table(title=f"{title}, {arguments.dtype}, {device}", title_justify="left")
    table.add_column("prompt: way", no_wrap=True)
    for head in ("s a photo", "times as fast", "model, s", "times as fast", "MB", "of public", "difference"):
        table.add_column(head, justify="right")
    for way, row in rows.items():
        figures = [f"{row['seconds_a_photo']:.3f}", f"{row['ratio']:.2f}"]
        figures += [f"{row['model_seconds']:.3f}", f"{row['model_ratio']:.2f}", f"{row['peak_memory_mb']:,.0f}"]
        table.add_row(way, *figures, f"{row['peak_memory_ratio']:.2f}", f"{row['max_abs_diff']:.0e}")
    Console(width=130).print(table)
    settings = {name: value for name, value in vars(arguments).items() if name != "model"}
    stem = name if arguments.shape == "10m" else f"{name}_{arguments.shape}"
    whole = {"settings": settings, "device": device, **content, "rows": rows, "versions": versions()}
    write_json(ROOT / "benchmarks" / "results" / f"{stem}.json", whole)
