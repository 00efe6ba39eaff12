"""A vision-language model of transformers that guesses on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from PIL import Image

from georanker.generators.base import Generator, Piece, RefusedError
from georanker.generators.question import Question
from georanker.hub import first_line
from georanker.job_folder import place_of_process
from georanker.types import GeorankerError
from georanker.vlm.loading import load_model, load_processor


class VLMGenerator(Generator):
    """Samples from any model of transformers' AutoModelForImageTextToText, all answers to a photo side by side.

    What the model's own folder says of sampling is not used: Qwen2-VL's lets only the likeliest token through, and all
    answers would be the same.

    Source: arXiv 2505.13731 takes 10 samples at temperature 1.2 of at most 200 tokens, from photos of low detail, 512
    pixels wide; arXiv 2405.14702 (G3) samples from LLaVA-NeXT on its own machines.

    Args:
        model: a hub's id or a folder; safetensors only.
        question: what is asked about a photo; None for the house's own.
        samples: answers to each photo.
        temperature: of the sampling; above 0, or all answers would be alike.
        max_tokens: of an answer.
        longest_side: larger photos are reduced to so many pixels; None for none.
        dtype: of the weights.
        attention: transformers' implementation; flash_attention_2 needs the package flash-attn and a GPU.
        load_in_4bit: quantise the weights; needs bitsandbytes.
        trust_remote_code: let code run that lies beside the model.
    """

    for_speed = ("attention",)

    def __init__(
        self,
        model: str,
        question: Question | None = None,
        samples: int = 10,
        temperature: float = 1.2,
        max_tokens: int = 200,
        longest_side: int | None = 512,
        dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16",
        attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa",
        load_in_4bit: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        super().__init__(question, samples, temperature, max_tokens, longest_side)
        place_of_process()  # or all processes of a machine would build their models on its first GPU
        self.name = model
        self.model = load_model(model, getattr(torch, dtype), attention, load_in_4bit, trust_remote_code).eval()
        if torch.cuda.is_available() and not load_in_4bit:
            self.model.to("cuda")
        self.processor: Any = load_processor(model, trust_remote_code)
        self.model.generation_config = self._settings()  # given to `generate`, it would be filled up from the folder's

    @torch.inference_mode()
    def answers(self, pieces: Sequence[Piece], seed: int) -> list[str]:
        """Return sampled answers; the same for the same seed on the same kind of machine.

        Raises:
            RefusedError: the model cannot read the question.
            GeorankerError: the memory is not enough.
        """
        content = [{"type": "text", "text": piece} if isinstance(piece, str) else {"type": "image"} for piece in pieces]
        images = [piece for piece in pieces if isinstance(piece, Image.Image)]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        bos = self.processor.tokenizer.bos_token
        begins = bos is not None and text.startswith(bos)
        try:
            inputs = self.processor(text=[text], images=[images], return_tensors="pt", add_special_tokens=not begins)
        except ValueError as error:
            raise RefusedError(f"model {self.name}: it cannot take the photo ({first_line(error)})") from error
        inputs = inputs.to(self.model.device, self.model.dtype)
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            try:
                made = self.model.generate(**inputs)
            except torch.OutOfMemoryError as error:
                raise GeorankerError(
                    f"model {self.name}: {first_line(error)}; set fewer samples or a smaller photo"
                ) from error
        begun = inputs["input_ids"].shape[1]
        told: list[str] = self.processor.batch_decode(made[:, begun:], skip_special_tokens=True)
        return told

    def _settings(self) -> Any:
        from transformers import GenerationConfig

        own, tokenizer = self.model.generation_config, self.processor.tokenizer
        ends = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
        return GenerationConfig(
            do_sample=True,
            temperature=self.temperature,
            top_k=0,
            top_p=1.0,
            num_return_sequences=self.samples,
            max_new_tokens=self.max_tokens,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        )
