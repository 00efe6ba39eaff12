"""Batches come through a precision as they are."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.plugins.precision import FSDPPrecision, Precision

from georanker.discovery import classes
from georanker.precision.base import KeepsBatches
from georanker.types import PhotoBatch

KINDS = [found for found in classes("georanker.precision") if found is not KeepsBatches]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_stay_as_they_are(kind: type[Precision]) -> None:
    batch = PhotoBatch(("a",), torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.tensor([[48.858372, 2.294481]]))
    precision = kind(precision="bf16-mixed")  # type: ignore[call-arg]
    assert precision.convert_input(batch) is batch
    assert precision.precision == "bf16-mixed"


def test_lightnings_own_refuses_them() -> None:
    batch = PhotoBatch(("a",), torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.zeros(1, 2))
    with pytest.raises(Exception, match="frozen dataclass"):
        FSDPPrecision("bf16-mixed").convert_input(batch)
