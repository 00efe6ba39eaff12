"""Processors without their video half, which insists on torchvision."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Sequence
from typing import Any

from transformers import AutoConfig, ProcessorMixin
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES, processor_class_from_name
from transformers.utils import cached_file

_NAMED_IN = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")


def image_only_processor(source: str, trust_remote_code: bool) -> Any:
    """Load a model's processor for photos and text alone; what it makes of them is the same.

    Args:
        source: a folder or a hub's id.
        trust_remote_code: whether code that lies beside the model may run.

    Raises:
        ValueError: the files name no processor that transformers knows.
    """
    stock = _stock_class(source, trust_remote_code)
    if stock is None:
        raise ValueError("its files name no processor that transformers knows")
    return image_only(stock).from_pretrained(source, trust_remote_code=trust_remote_code)


@functools.cache
def image_only(stock: Any) -> Any:
    """Return the processor class `stock` without its video processor."""
    return type(stock)(stock.__name__, (stock, _WithoutVideo), {"__module__": stock.__module__})


class _Absent:
    """A part that is not there: each of its settings is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class _WithoutVideo(ProcessorMixin):  # type: ignore[misc]
    """Stands between a stock processor and ProcessorMixin, and keeps the video processor from both."""

    video_processor = _Absent()  # a chat template may ask for its frame rate, also without any video

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        parts = {**dict(zip(super().get_attributes(), args, strict=False)), **kwargs}
        super().__init__(**{name: part for name, part in parts.items() if not _is_video(name)})

    @classmethod
    def get_attributes(cls) -> list[str]:
        return [name for name in super().get_attributes() if not _is_video(name)]

    @classmethod
    def from_args_and_dict(cls, args: Sequence[Any], processor_dict: dict[str, Any], **kwargs: Any) -> Any:
        # By name, since the video processor may stand anywhere in the stock signature, and without a default.
        parts = dict.fromkeys(super().get_attributes()) | dict(zip(cls.get_attributes(), args, strict=True))
        settings = {**processor_dict, **kwargs}
        known = inspect.signature(cls.__init__).parameters.keys() & settings.keys() - parts.keys()
        return cls(**parts, **{name: settings[name] for name in known})

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self).__bases__[0], self.__dict__)  # for loader workers that are spawned


def _restored(stock: Any, state: dict[str, Any]) -> Any:
    processor = object.__new__(image_only(stock))
    processor.__dict__.update(state)
    return processor


def _is_video(name: str) -> bool:
    return "video_processor" in name


def _stock_class(source: str, trust_remote_code: bool) -> Any:
    """Find the processor's class as AutoProcessor does: named in a file, or known for the model's type."""
    for name in _NAMED_IN:
        path = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
        if path is not None:
            with open(path, encoding="utf-8") as file:
                named = json.load(file).get("processor_class")
            if named:
                return processor_class_from_name(named)
    named = PROCESSOR_MAPPING_NAMES.get(
        AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code).model_type
    )
    return None if named is None else processor_class_from_name(named)
