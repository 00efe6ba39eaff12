"""The paper's ranker, for any vision-language model."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from georanker.backbones.base import Backbone
from georanker.backbones.ranking_collator import RankingCollator
from georanker.backbones.vlm_collator import VLMCollator
from georanker.heads.base import Head
from georanker.heads.value_head import ValueHead
from georanker.hub import fetch
from georanker.prompts.base import Prompt
from georanker.prompts.template_prompt import TemplatePrompt
from georanker.types import GeorankerError, RankingBatch
from georanker.vlm.adapter import add_adapter, load_adapter, read_config, save_adapter
from georanker.vlm.feature_store import FeatureStore
from georanker.vlm.features import PhotoFeatures, photo_features
from georanker.vlm.language import Prompts
from georanker.vlm.language_model import LanguageModel
from georanker.vlm.loading import digest, load_model, load_processor
from georanker.vlm.photo_reader import PhotoReader
from georanker.vlm.unread import Unread

if TYPE_CHECKING:
    from peft import LoraConfig

_SHARDED = "_fsdp_wrapped_module."
DType = Literal["float32", "bfloat16", "float16"]


class VLMBackbone(Backbone):
    """A vision-language model reads the photo and a candidate together, and its last token's state becomes a score.

    s(q, c) = head(h), with h the last layer's hidden state of the last token of the prompt about q and c. The model's
    own weights stay as they are; the adapter and the head are trained, and only they are saved.

    Source: GeoRanker (arXiv 2505.13731), with Qwen2-VL-7B-Instruct, LoRA of rank 16 and a linear head.

    Args:
        model: a hub's id or a folder, for transformers' AutoModelForImageTextToText; safetensors only.
        prompt: what is asked about a candidate; None for the paper's.
        head: makes the score; None for the paper's.
        lora: the adapter to train; its target_modules are looked for in the language model alone. None for none.
        adapter: a folder or a hub's id with an adapter and a head that were trained before, as PEFT saves them.
        dtype: of the model's own weights; adapter and head are float32.
        attention: transformers' implementation; flash_attention_2 needs the package flash-attn and a GPU. With
            `share` it reaches the vision tower alone, since the language model then attends by our own code.
        min_pixels: smaller photos are enlarged to this area; None for the model's own bound.
        max_pixels: larger photos are reduced to this area; None for the model's own bound.
        reencode_jpeg: quality of a round trip of the candidates' photos through JPEG, as the paper's code makes it;
            None for none.
        reencode_query_jpeg: the same for the photos that are asked about, which the paper's code does in training only.
        score_dtype: of the head's arithmetic, for comparison with scores that were made in bfloat16.
        load_in_4bit: quantise the model's own weights; needs bitsandbytes. Not run on a GPU.
        gradient_checkpointing: compute the layers again in the backward pass, which saves memory and costs time.
        trust_remote_code: let code run that lies beside the model.
        tokens_at_once: prompts are run together up to so many tokens, and on a GPU photos through the vision tower.
        feature_cache: a folder that keeps what the vision tower makes of the gallery's photos; None for none.
        feature_cache_gb: the size that it may grow to, in 10^9 bytes.
        share: compute what the prompts about a photo's candidates begin with once for all of them; the scores are the
            same. False for the plain computation, each prompt in full.
    """

    for_speed = (
        "model",  # what it is, and not where it lies, is told by `built_of`
        "attention",
        "gradient_checkpointing",
        "trust_remote_code",
        "tokens_at_once",
        "feature_cache",
        "feature_cache_gb",
        "share",
    )

    def __init__(
        self,
        model: str,
        prompt: Prompt | None = None,
        head: Head | None = None,
        lora: LoraConfig | None = None,
        adapter: str | None = None,
        dtype: DType = "float32",
        attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa",
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        reencode_jpeg: int | None = None,
        reencode_query_jpeg: int | None = None,
        score_dtype: DType = "float32",
        load_in_4bit: bool = False,
        gradient_checkpointing: bool = False,
        trust_remote_code: bool = False,
        tokens_at_once: int = 16384,
        feature_cache: Path | None = None,
        feature_cache_gb: float = 20.0,
        share: bool = True,
    ) -> None:
        super().__init__()
        if lora is not None and adapter is not None:
            raise ValueError("lora and adapter exclude each other: a saved adapter brings its own settings")
        if tokens_at_once < 1:
            raise ValueError(f"tokens_at_once must be at least 1, not {tokens_at_once}")
        if not 0 < feature_cache_gb < math.inf:
            raise ValueError(f"feature_cache_gb must be above 0 and finite, not {feature_cache_gb:g}")
        for quality in (reencode_jpeg, reencode_query_jpeg):
            if quality is not None and not 1 <= quality <= 95:
                raise ValueError(f"the quality of a JPEG is 1 to 95, not {quality}")
        self.model = load_model(model, getattr(torch, dtype), attention, load_in_4bit, trust_remote_code)
        self.processor = load_processor(model, trust_remote_code)
        self.built_of = digest(self.model, self.processor)
        if Path(model).is_dir():
            self._arguments |= {"model": str(Path(model).absolute())}  # saved, it may be built in another folder
        self.prompt = prompt or TemplatePrompt()
        self.head = head or ValueHead()
        self.head.attach(self.model.get_output_embeddings().weight, self.processor.tokenizer)
        self.lora: LoraConfig | None = None
        if lora is not None:
            self.lora = add_adapter(self.model, lora)
        if adapter is not None:
            folder = fetch(adapter)
            self.lora = add_adapter(self.model, read_config(folder))
            load_adapter(folder, self.model, self.head)
            self.comes_trained = True
            self._arguments |= {"lora": self.lora, "adapter": None}  # saved again, it needs the old folder no more
        if gradient_checkpointing:
            old = self.model.gradient_checkpointing_enable
            getattr(self.model, "activation_checkpointing_enable", old)({"use_reentrant": False})  # its newer name
        language = {id(weight) for weight in self.model.get_decoder().parameters()}
        self._tower_learns = any(w.requires_grad and id(w) not in language for w in self.model.parameters())
        if self._tower_learns and feature_cache is not None:
            raise ValueError("feature_cache keeps what a vision tower makes, but here lora trains the tower too")
        self.store: FeatureStore | None = None
        if feature_cache is not None:
            self._arguments |= {"feature_cache": None}  # a folder of this machine, and nothing that changes a score
            tower = digest(self.model, self.processor, without=self.model.get_decoder())
            self.store = FeatureStore(Path(feature_cache), int(feature_cache_gb * 1e9), tower)
        photo_id = getattr(self.model.config, "image_token_id", None)
        if photo_id is None:
            raise GeorankerError(
                f"model {model}: its config has no image_token_id, which stands for a photo in a prompt"
            )
        if self.processor.tokenizer.convert_ids_to_tokens(photo_id) is None:
            raise GeorankerError(
                f"model {model}: its tokenizer lacks the token of photos, {photo_id}; see tokenizer.json"
            )
        self.reader = PhotoReader(self.processor, photo_id, min_pixels, max_pixels, self.store)
        self.unread = Unread(self.model.config.get_text_config().max_position_embeddings)
        self.reencode_jpeg, self.reencode_query_jpeg = reencode_jpeg, reencode_query_jpeg
        self.score_dtype: torch.dtype = getattr(torch, score_dtype)
        self.language = LanguageModel(self.model, tokens_at_once, share)
        self.register_load_state_dict_post_hook(_expect_trained_weights_only)  # type: ignore[no-untyped-call]

    @property
    def collator(self) -> RankingCollator:
        """Makes the prompts and reads the photos."""
        return VLMCollator(self.reader, self.prompt, self.unread.context, self.reencode_jpeg, self.reencode_query_jpeg)

    def trainable(self, batch: RankingBatch) -> Tensor:
        """Return the candidates that the model could be asked about."""
        return batch.mask & ~batch.inputs["unread"]

    def forward(self, batch: RankingBatch) -> Tensor:
        """Return (B, K) float32 scores, NaN where a photo could not be read, or the prompt is too long.

        Raises:
            GeorankerError: the prompt is too long, in training; or none of the first photos could be read.
        """
        self.unread.check(batch, self.training)
        lengths = batch.inputs["lengths"]
        there = lengths > 0
        scores = torch.full(lengths.shape, float("nan"), device=lengths.device)
        if not there.any():
            return scores
        prompts = Prompts(batch.inputs["ids"][there], batch.inputs["rows"][there], lengths[there])
        hidden = self.language(prompts, [size for size in there.sum(1).tolist() if size], self._features(batch))
        with torch.autocast(hidden.device.type, enabled=False):
            found = self.head(hidden.to(self.score_dtype)).float()
        return scores.masked_scatter(there, found)

    def _features(self, batch: RankingBatch) -> PhotoFeatures | None:
        photos: dict[int, dict[str, Tensor]] = {}
        for name, tensor in batch.inputs.items():
            photo, dot, part = name.removeprefix("photo").partition(".")
            if dot:
                photos.setdefault(int(photo), {})[part] = tensor
        if not photos:
            return None
        ordered = [photos[number] for number in range(len(photos))]
        learns, device = self._tower_learns, batch.mask.device.type
        # What is kept in a store must not depend on a run's precision.
        mixed = torch.is_autocast_enabled(device) and learns
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns), torch.autocast(device, enabled=mixed):
            features = photo_features(
                self.model.base_model, ordered, batch.inputs["counts"], self.language.tokens_at_once
            )
        if self.store is not None:
            self.store.put(features, ordered, batch.inputs["counts"])
        return features

    @property
    def saved_names(self) -> Collection[str]:
        """What is trained; the model's own weights stay where they came from."""
        return {name.replace(_SHARDED, "") for name, weight in self.named_parameters() if weight.requires_grad}

    def save_weights(self, folder: Path) -> None:
        """Write the adapter and the head, as PEFT does."""
        save_adapter(folder, self.model, self.head, self.lora)

    def load_weights(self, folder: Path) -> None:
        """Read an adapter and a head that fit this model."""
        load_adapter(folder, self.model, self.head)


def _expect_trained_weights_only(module: nn.Module, told: Any) -> None:
    """Let a checkpoint lack what is not trained."""
    parameters = module.named_parameters(remove_duplicate=False)  # a vocabulary may be tied to the embeddings
    frozen = tuple(f".{name}" for name, parameter in parameters if not parameter.requires_grad)
    buffers = tuple(f".{name}" for name, _ in module.named_buffers())
    told.missing_keys[:] = [key for key in told.missing_keys if not f".{key}".endswith(frozen + buffers)]
