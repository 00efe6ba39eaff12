"""A tokenizer, trained on the spot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tests.tiny_vlms.family import POSITIONS, Family

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


def write_tokenizer(family: Family, folder: Path, sentences: Sequence[str]) -> dict[str, int]:
    """Train a byte-level BPE on the sentences, write it with the family's special tokens, and return all its ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=512, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*sentences] * 4, trainer)
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
