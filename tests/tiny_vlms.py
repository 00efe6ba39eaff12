"""Tiny vision-language models with random weights, in folders like those on the Hugging Face hub, made offline.

`tiny_vlm("qwen2_vl", folder)` writes the weights, the configuration, a tokenizer trained on the spot, the processor's
files and the chat template, with the names, classes and special tokens of the family's real folders.
`stock_processor(folder)` loads the processor of such a folder, also where its video half wants torchvision.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
)

from georanker.vlm.image_only import image_only_processor

HEADS, KEY_VALUE_HEADS, VISION_LAYERS, POSITIONS = 4, 2, 2, 4096
PATCH = 14
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
HALF = [0.5, 0.5, 0.5]
# What every image processor file of the hub spells out.
STEPS = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True, "rescale_factor": 1 / 255}

SENTENCES = [
    "Yes",
    "No",
    "Where on Earth was this photo taken? Answer Yes or No.",
    "The first photo was taken at latitude 48.8584 and longitude 2.2945 degrees, near the river in Paris, France.",
    "The second photo was taken at latitude -33.8568, longitude 151.2153, by the harbour of Sydney, Australia.",
    "Is the candidate image at the same place as the query image? The candidate is at 40.7128, -74.0060, New York.",
    "You are a helpful assistant. User: Assistant: system user model\n",
    "Street, city, mountain, coast, desert, road sign, building, tree, northern and southern hemisphere, kilometres.",
    "You are an expert of geography. Which of the candidate coordinates is nearest to the place of the photo?\n\n",
]


@dataclass(frozen=True)
class Family:
    """What sets the folders of one family apart; `special` are its tokens, of which `named` have a role's name."""

    special: Sequence[str]
    template: str
    config: Callable[[Text], dict[str, Any]]
    files: Mapping[str, dict[str, Any]]
    tokenizer_class: str = "PreTrainedTokenizerFast"
    named: Mapping[str, str] = field(default_factory=dict)
    bos: str | None = None
    adds_bos: bool = False
    eos: str = "<|im_end|>"
    pad: str = "<|endoftext|>"


@dataclass(frozen=True)
class Text:
    """The sizes of the language model, and the ids of the tokenizer."""

    hidden: int
    layers: int
    ids: Mapping[str, int]
    pad: int
    eos: int
    bos: int | None

    @property
    def head(self) -> int:
        """The width of an attention head."""
        return self.hidden // HEADS

    def config(self, **more: Any) -> dict[str, Any]:
        """Return a `text_config` with grouped-query attention."""
        return {
            "vocab_size": len(self.ids),
            "hidden_size": self.hidden,
            "intermediate_size": 3 * self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KEY_VALUE_HEADS,
            "max_position_embeddings": POSITIONS,
            "pad_token_id": self.pad,
            "eos_token_id": self.eos,
            "bos_token_id": self.bos,
            **more,
        }

    def vision(self, **more: Any) -> dict[str, Any]:
        """Return a `vision_config` of the CLIP and SigLIP kind."""
        return {
            "hidden_size": self.hidden,
            "intermediate_size": 3 * self.hidden,
            "num_hidden_layers": VISION_LAYERS,
            "num_attention_heads": HEADS,
            "patch_size": PATCH,
            **more,
        }


def tiny_vlm(family: str, folder: Path, seed: int = 0, hidden_size: int = 32, layers: int = 2) -> Path:
    """Write the model folder and return it."""
    made = _FAMILIES[family]
    folder.mkdir(parents=True, exist_ok=True)
    ids = _write_tokenizer(made, folder)
    bos = ids[made.bos] if made.bos else None
    text = Text(hidden_size, layers, ids, pad=ids[made.pad], eos=ids[made.eos], bos=bos)
    config = AutoConfig.for_model(family, **made.config(text))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
        _randomise(model)
    model.save_pretrained(folder)
    for name, content in made.files.items():
        (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(made.template, encoding="utf-8")
    return folder


def stock_processor(folder: Path) -> Any:
    """Load the folder's processor; where its video half is missing, the stock processor for images and text alone."""
    try:
        return AutoProcessor.from_pretrained(folder)
    except (ImportError, OSError, ValueError):  # how transformers says that the video half is missing
        return image_only_processor(str(folder), trust_remote_code=False)


def _write_tokenizer(family: Family, folder: Path) -> dict[str, int]:
    """Train a byte-level BPE on the sentences, write it with the family's special tokens, and return all its ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=512, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    special = dict.fromkeys(token for token in (family.pad, family.bos, family.eos, *family.special) if token)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    if family.bos and family.adds_bos:
        bos = (family.bos, tokenizer.token_to_id(family.bos))
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{family.bos} $A", pair=f"{family.bos} $A $B", special_tokens=[bos]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = set(family.named.values())
    settings = {
        "tokenizer_class": family.tokenizer_class,
        "bos_token": family.bos,
        "eos_token": family.eos,
        "pad_token": family.pad,
        "unk_token": None,
        "padding_side": "left",
        "model_max_length": POSITIONS,
        "clean_up_tokenization_spaces": False,
        "additional_special_tokens": [token for token in special if token not in roles],
        "extra_special_tokens": dict(family.named),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return dict(tokenizer.get_vocab())


@torch.no_grad()
def _randomise(model: nn.Module) -> None:
    """Draw every matrix so large that the outputs of any two inputs visibly differ, whatever the model's width."""
    owners = {id(weight): part for part in model.modules() for weight in part.parameters(recurse=False)}
    for weight in model.parameters():
        owner = owners[id(weight)]
        if weight.dim() < 2:
            continue  # norms, biases and scales stay as the model made them
        if isinstance(owner, nn.Embedding):
            weight.normal_(std=0.5)
        elif isinstance(owner, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            weight.normal_(std=(weight.numel() / len(weight)) ** -0.5)
        else:  # bare parameters are written (in, out), or (1, positions, width)
            weight.normal_(std=len(weight) ** -0.5)


# The templates of the hub, shortened: tools, videos and defaults that no prompt of ours reaches are left out.
QWEN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN3_TEMPLATE = QWEN_TEMPLATE.replace(
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}",
    "",
)
# Idefics3 and SmolVLM write a dialogue of "User:" and "Assistant:".
IDEFICS_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}"
    "{{ ':' if message['content'][0]['type'] == 'image' else ': ' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
# LLaVA's render all images of a turn first, wherever they stand in it.
LLAVA_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
LLAVA_NEXT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'assistant' %}[INST] {% endif %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] }}{% endfor %}"
    "{% if message['role'] != 'assistant' %} [/INST]{% endif %}{% endfor %}"
)
ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ '\n' + part['text'] }}{% endfor %}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<start_of_image>{% else %}{{ part['text'] | trim }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
INTERN_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
AYA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|START_OF_TURN_TOKEN|>"
    "{{ '<|CHATBOT_TOKEN|>' if message['role'] == 'assistant' else '<|USER_TOKEN|>' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] }}{% endfor %}"
    "<|END_OF_TURN_TOKEN|>{% endfor %}"
    "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"
)


def _rope(half: int, small: int, **more: Any) -> dict[str, Any]:
    """Return Qwen's rotary positions: the three sections of half a head for time, height and width."""
    sections = [half - 2 * small, small, small]
    return {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections, **more}


def _qwen_ids(text: Text) -> dict[str, Any]:
    names = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    return {f"{name}_token_id": text.ids[f"<|{token}|>"] for name, token in names.items()}


def _qwen2_vl(text: Text) -> dict[str, Any]:
    half = text.head // 2
    width = {"embed_dim": text.hidden, "hidden_size": text.hidden, "mlp_ratio": 4}  # [16, 24, 24] of 64 in the real one
    return {
        "text_config": text.config(rope_parameters=_rope(half, 3 * half // 8)),
        "vision_config": {"depth": VISION_LAYERS, "num_heads": HEADS, "patch_size": PATCH, **width},
        **_qwen_ids(text),
    }


def _qwen2_5_vl(text: Text) -> dict[str, Any]:
    half = text.head // 2
    vision = {
        "depth": VISION_LAYERS,
        "num_heads": HEADS,
        "patch_size": PATCH,
        "hidden_size": text.hidden,
        "intermediate_size": 3 * text.hidden,
        "out_hidden_size": text.hidden,
        "window_size": 4 * PATCH,  # two by two tokens, so that small photos have several windows
        "fullatt_block_indexes": [VISION_LAYERS - 1],
    }
    return {
        "text_config": text.config(rope_parameters=_rope(half, 3 * half // 8)),
        "vision_config": vision,
        **_qwen_ids(text),
    }


def _qwen3_vision(text: Text) -> dict[str, Any]:
    return {
        "depth": VISION_LAYERS,
        "num_heads": HEADS,
        "patch_size": 16,
        "hidden_size": text.hidden,
        "intermediate_size": 3 * text.hidden,
        "out_hidden_size": text.hidden,
        "num_position_embeddings": 16**2,
    }


def _qwen3_vl(text: Text) -> dict[str, Any]:
    half = text.head // 2
    rope = _rope(half, 5 * half // 16, mrope_interleaved=True)
    return {
        "text_config": text.config(rope_parameters=rope, head_dim=text.head),
        "vision_config": _qwen3_vision(text) | {"deepstack_visual_indexes": list(range(VISION_LAYERS))},
        **_qwen_ids(text),
    }


def _qwen3_5(text: Text) -> dict[str, Any]:
    head = 4 * text.head  # a quarter of it is rotated
    rope = _rope(head // 8, 5 * head // 8 // 16, mrope_interleaved=True, partial_rotary_factor=0.25)
    linear = {
        "linear_key_head_dim": text.head,
        "linear_value_head_dim": text.head,
        "linear_num_key_heads": KEY_VALUE_HEADS,
        "linear_num_value_heads": HEADS,
    }
    kinds = ["full_attention" if layer % 2 else "linear_attention" for layer in range(text.layers)]
    return {
        "text_config": text.config(rope_parameters=rope, head_dim=head, layer_types=kinds, **linear),
        "vision_config": _qwen3_vision(text),
        **_qwen_ids(text),
    }


def _idefics3(text: Text) -> dict[str, Any]:
    return {
        "text_config": text.config(model_type="llama"),
        "vision_config": text.vision(image_size=4 * PATCH),
        "image_token_id": text.ids["<image>"],
        "scale_factor": 2,
        "pad_token_id": text.pad,
    }


def _llava(text: Text) -> dict[str, Any]:
    return {
        "text_config": text.config(model_type="llama"),
        "vision_config": text.vision(model_type="clip_vision_model", image_size=4 * PATCH, projection_dim=text.hidden),
        "image_token_index": text.ids["<image>"],
        "image_seq_length": 16,
    }


def _llava_next(text: Text) -> dict[str, Any]:
    return {
        "text_config": text.config(model_type="mistral", sliding_window=None),
        "vision_config": text.vision(model_type="clip_vision_model", image_size=TILE, projection_dim=text.hidden),
        "image_token_index": text.ids["<image>"],
        "image_seq_length": 9,
        "image_grid_pinpoints": NEXT_PINPOINTS,
    }


def _llava_onevision(text: Text) -> dict[str, Any]:
    return {
        "text_config": text.config(model_type="qwen2"),
        "vision_config": text.vision(model_type="siglip_vision_model", image_size=TILE, vision_use_head=False),
        "image_token_index": text.ids["<image>"],
        "video_token_index": text.ids["<video>"],
        "image_grid_pinpoints": ONEVISION_PINPOINTS,
    }


def _gemma3(text: Text) -> dict[str, Any]:
    kinds = ["full_attention" if layer % 2 else "sliding_attention" for layer in range(text.layers)]
    # A window that is shorter than the prompts of the tests, as the real one is shorter than long prompts.
    sizes = {"head_dim": text.head, "query_pre_attn_scalar": text.head, "sliding_window": 24, "layer_types": kinds}
    return {
        "text_config": text.config(**sizes),
        "vision_config": text.vision(model_type="siglip_vision_model", image_size=4 * PATCH, vision_use_head=False),
        "mm_tokens_per_image": 4,
        "boi_token_index": text.ids["<start_of_image>"],
        "eoi_token_index": text.ids["<end_of_image>"],
        "image_token_index": text.ids["<image_soft_token>"],
    }


def _internvl(text: Text) -> dict[str, Any]:
    return {
        "text_config": text.config(model_type="qwen2"),
        "vision_config": text.vision(image_size=4 * PATCH),
        "image_token_id": text.ids["<IMG_CONTEXT>"],
        "image_seq_length": 4,
    }


def _aya_vision(text: Text) -> dict[str, Any]:
    kinds = ["full_attention" if layer % 2 else "sliding_attention" for layer in range(text.layers)]
    return {
        "text_config": text.config(model_type="cohere2", sliding_window=1024, layer_types=kinds, logit_scale=0.25),
        "vision_config": text.vision(model_type="siglip_vision_model", image_size=4 * PATCH, vision_use_head=False),
        "image_token_index": text.ids["<|IMG_PATCH|>"],
    }


TILE = 3 * PATCH
NEXT_PINPOINTS = [[rows * TILE, columns * TILE] for rows, columns in ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))]
ONEVISION_PINPOINTS = [[rows * TILE, columns * TILE] for rows in (1, 2) for columns in (1, 2)]
CLIP = {"image_mean": CLIP_MEAN, "image_std": CLIP_STD, "resample": 3, **STEPS}
SIGLIP = {"image_mean": HALF, "image_std": HALF, "resample": 3, **STEPS}
QWEN_PATCHES = {"patch_size": PATCH, "temporal_patch_size": 2, "merge_size": 2}
QWEN2_IMAGES = {
    "min_pixels": 3136,
    "max_pixels": 12845056,
    **QWEN_PATCHES,
    "image_mean": CLIP_MEAN,
    "image_std": CLIP_STD,
    "image_processor_type": "Qwen2VLImageProcessor",
}
QWEN3_IMAGES = {
    "size": {"longest_edge": 16777216, "shortest_edge": 4096},  # the real one takes no photo below 65536 pixels
    **QWEN_PATCHES,
    "patch_size": 16,
    "image_mean": HALF,
    "image_std": HALF,
}
QWEN3_FILES: dict[str, dict[str, Any]] = {
    "preprocessor_config.json": {
        **QWEN3_IMAGES,
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "processor_class": "Qwen3VLProcessor",
    },
    "video_preprocessor_config.json": {
        **QWEN3_IMAGES,
        "video_processor_type": "Qwen3VLVideoProcessor",
        "processor_class": "Qwen3VLProcessor",
    },
}
QWEN_TOKENS = [
    *("<|im_start|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
    *("<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>"),
]
IDEFICS_TOKENS = [
    *("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
]


def _idefics_images(name: str) -> dict[str, Any]:
    return {
        "do_image_splitting": True,
        "do_pad": True,
        "max_image_size": {"longest_edge": 4 * PATCH},
        "size": {"longest_edge": 8 * PATCH},  # two by two tiles and the whole image
        **SIGLIP,
        "resample": 1,
        "image_processor_type": f"{name}ImageProcessor",
        "processor_class": f"{name}Processor",
    }


_FAMILIES: dict[str, Family] = {
    "qwen2_vl": Family(
        special=QWEN_TOKENS,
        template=QWEN_TEMPLATE,
        config=_qwen2_vl,
        files={"preprocessor_config.json": {**QWEN2_IMAGES, "processor_class": "Qwen2VLProcessor"}},
        tokenizer_class="Qwen2Tokenizer",
    ),
    "qwen2_5_vl": Family(
        special=QWEN_TOKENS,
        template=QWEN_TEMPLATE,
        config=_qwen2_5_vl,
        files={"preprocessor_config.json": {**QWEN2_IMAGES, "processor_class": "Qwen2_5_VLProcessor"}},
        tokenizer_class="Qwen2Tokenizer",
    ),
    "qwen3_vl": Family(
        special=QWEN_TOKENS,
        template=QWEN3_TEMPLATE,
        config=_qwen3_vl,
        files=QWEN3_FILES,
        tokenizer_class="Qwen2Tokenizer",
    ),
    "qwen3_5": Family(
        special=QWEN_TOKENS,
        template=QWEN3_TEMPLATE,
        config=_qwen3_5,
        files=QWEN3_FILES,
        tokenizer_class="Qwen2Tokenizer",
    ),
    "idefics3": Family(
        special=IDEFICS_TOKENS,
        template="<|begin_of_text|>" + IDEFICS_TEMPLATE,
        config=_idefics3,
        files={
            "preprocessor_config.json": _idefics_images("Idefics3"),
            "processor_config.json": {"image_seq_len": 4, "processor_class": "Idefics3Processor"},
        },
        bos="<|begin_of_text|>",
        adds_bos=True,
        eos="<end_of_utterance>",
        pad="<|end_of_text|>",
    ),
    "smolvlm": Family(
        special=IDEFICS_TOKENS,
        template="<|im_start|>" + IDEFICS_TEMPLATE,
        config=_idefics3,
        files={
            "preprocessor_config.json": {
                **_idefics_images("SmolVLM"),
                "video_sampling": {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 512}},
            },
            "processor_config.json": {"image_seq_len": 4, "processor_class": "SmolVLMProcessor"},
        },
        named={
            "end_of_utterance_token": "<end_of_utterance>",
            "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>",
            "image_token": "<image>",
        },
        bos="<|im_start|>",
        eos="<end_of_utterance>",
        pad="<|im_end|>",
    ),
    "llava": Family(
        special=["<image>"],
        template=LLAVA_TEMPLATE,
        config=_llava,
        files={
            "preprocessor_config.json": {
                **CLIP,
                "crop_size": {"height": 4 * PATCH, "width": 4 * PATCH},
                "do_center_crop": True,
                "size": {"shortest_edge": 4 * PATCH},
                "image_processor_type": "CLIPImageProcessor",
                "processor_class": "LlavaProcessor",
            },
            "processor_config.json": {
                "image_token": "<image>",
                "num_additional_image_tokens": 1,
                "patch_size": PATCH,
                "processor_class": "LlavaProcessor",
                "vision_feature_select_strategy": "default",
            },
        },
        named={"image_token": "<image>"},
        bos="<s>",
        adds_bos=True,
        eos="</s>",
        pad="<pad>",
    ),
    "llava_next": Family(
        special=["<image>"],
        template=LLAVA_NEXT_TEMPLATE,
        config=_llava_next,
        files={
            "preprocessor_config.json": {
                **CLIP,
                "aspect_ratio_setting": "anyres",
                "crop_size": {"height": TILE, "width": TILE},
                "do_center_crop": True,
                "do_pad": True,
                "image_grid_pinpoints": NEXT_PINPOINTS,
                "size": {"shortest_edge": TILE},
                "image_processor_type": "LlavaNextImageProcessor",
                "processor_class": "LlavaNextProcessor",
            },
            "processor_config.json": {
                "image_token": "<image>",
                "num_additional_image_tokens": 1,
                "patch_size": PATCH,
                "processor_class": "LlavaNextProcessor",
                "vision_feature_select_strategy": "default",
            },
        },
        named={"image_token": "<image>"},
        bos="<s>",
        adds_bos=True,
        eos="</s>",
        pad="<pad>",
    ),
    "llava_onevision": Family(
        special=["<|im_start|>", "<image>", "<video>"],
        template=ONEVISION_TEMPLATE,
        config=_llava_onevision,
        files={
            "preprocessor_config.json": {
                **SIGLIP,
                "do_pad": True,
                "image_grid_pinpoints": ONEVISION_PINPOINTS,
                "size": {"height": TILE, "width": TILE},
                "image_processor_type": "LlavaOnevisionImageProcessor",
                "processor_class": "LlavaOnevisionProcessor",
            },
            "video_preprocessor_config.json": {
                **SIGLIP,
                "size": {"height": TILE, "width": TILE},
                "image_processor_type": "LlavaOnevisionVideoProcessor",
                "processor_class": "LlavaOnevisionProcessor",
            },
            "processor_config.json": {
                "image_token": "<image>",
                "num_image_tokens": 9,
                "processor_class": "LlavaOnevisionProcessor",
                "video_token": "<video>",
                "vision_aspect_ratio": "anyres_max_9",
                "vision_feature_select_strategy": "full",
            },
        },
        tokenizer_class="Qwen2Tokenizer",
    ),
    "gemma3": Family(
        special=["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"],
        template=GEMMA_TEMPLATE,
        config=_gemma3,
        files={
            "preprocessor_config.json": {
                **SIGLIP,
                "do_convert_rgb": None,
                "do_pan_and_scan": None,
                "image_seq_length": 4,
                "pan_and_scan_max_num_crops": None,
                "pan_and_scan_min_crop_size": None,
                "pan_and_scan_min_ratio_to_activate": None,
                "resample": 2,
                "size": {"height": 4 * PATCH, "width": 4 * PATCH},
                "image_processor_type": "Gemma3ImageProcessor",
                "processor_class": "Gemma3Processor",
            },
            "processor_config.json": {"image_seq_length": 4, "processor_class": "Gemma3Processor"},
        },
        named={"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"},
        bos="<bos>",
        adds_bos=True,
        eos="<eos>",
        pad="<pad>",
    ),
    "internvl": Family(
        special=["<|im_start|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"],
        template=INTERN_TEMPLATE,
        config=_internvl,
        files={
            "preprocessor_config.json": {
                **CLIP,
                "crop_to_patches": False,  # the processor turns it on for itself, as with the real folders
                "max_patches": 4,
                "min_patches": 1,
                "size": {"height": 4 * PATCH, "width": 4 * PATCH},
                "image_processor_type": "GotOcr2ImageProcessorFast",
                "processor_class": "InternVLProcessor",
            },
            "video_preprocessor_config.json": {
                **CLIP,
                "size": {"height": 4 * PATCH, "width": 4 * PATCH},
                "video_processor_type": "InternVLVideoProcessor",
                "processor_class": "InternVLProcessor",
            },
            "processor_config.json": {"image_seq_length": 4, "processor_class": "InternVLProcessor"},
        },
        tokenizer_class="Qwen2Tokenizer",
        named={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
    ),
    "aya_vision": Family(
        special=[
            *("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<image>", "<|START_OF_IMG|>"),
            *("<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE_GLOBAL", "TILE"),
            *(f"TILE_{tile}" for tile in range(1, 5)),
        ],
        template=AYA_TEMPLATE,
        config=_aya_vision,
        files={
            "preprocessor_config.json": {
                **SIGLIP,
                "crop_to_patches": True,
                "max_patches": 4,
                "min_patches": 1,
                "size": {"height": 4 * PATCH, "width": 4 * PATCH},
                "image_processor_type": "GotOcr2ImageProcessor",
                "processor_class": "AyaVisionProcessor",
            },
            "processor_config.json": {
                "downsample_factor": 2,
                "image_token": "<image>",
                "img_size": 4 * PATCH,
                "patch_size": PATCH,
                "processor_class": "AyaVisionProcessor",
            },
        },
        bos="<BOS_TOKEN>",
        adds_bos=True,
        eos="<|END_OF_TURN_TOKEN|>",
        pad="<PAD>",
    ),
}
FAMILIES: tuple[str, ...] = tuple(_FAMILIES)
