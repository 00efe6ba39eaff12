"""How prompts become token ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from georanker.prompts.base import Part
from georanker.types import Photo
from georanker.vlm.photo_tokens import PhotoTokens
from georanker.vlm.prompt_tokens import PromptTokens


class PromptTokenizer:
    """Turns the parts of a prompt into tokens through the model's chat template, just as its processor does.

    Args:
        processor: the model's.
        photo_id: the token that stands for one feature of a photo.
    """

    def __init__(self, processor: Any, photo_id: int) -> None:
        self.processor, self.photo_id = processor, photo_id
        known = processor.tokenizer.added_tokens_decoder.values()  # some have no role, and are special all the same
        special = {processor.image_token, *processor.tokenizer.all_special_tokens}
        special |= {token.content for token in known if token.special}
        self._special = re.compile("|".join(re.escape(token) for token in sorted(special, key=len, reverse=True)))

    def __call__(self, parts: Sequence[Part], photos: Sequence[tuple[int, PhotoTokens]]) -> PromptTokens:
        """Return the tokens of one user turn and of the start of the model's answer.

        Args:
            parts: of the turn. What reads like a special token inside a text is removed: a place's name is data.
            photos: the first row and the tokens of each photo among the parts, in their order.
        """
        content = [
            {"type": "image"} if isinstance(part, Photo) else {"type": "text", "text": self._harmless(part)}
            for part in parts
        ]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        first, *rest = text.split(self.processor.image_token)
        whole = first + "".join(photo.text + after for (_, photo), after in zip(photos, rest, strict=True))
        tokenizer = self.processor.tokenizer
        starts = tokenizer.bos_token is not None and whole.startswith(tokenizer.bos_token)
        ids = tokenizer.encode(whole, add_special_tokens=not starts)
        rows = (row for first_row, photo in photos for row in range(first_row, first_row + photo.count))
        return PromptTokens(tuple(ids), tuple(next(rows) if token == self.photo_id else -1 for token in ids))

    def _harmless(self, text: str) -> str:
        found = 1
        while found:  # what is left may read like a special token again
            text, found = self._special.subn("", text)
        return text
