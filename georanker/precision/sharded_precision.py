"""Weights spread over GPUs."""

from __future__ import annotations

from lightning.pytorch.plugins.precision import FSDPPrecision

from georanker.precision.base import KeepsBatches


class ShardedPrecision(KeepsBatches, FSDPPrecision):
    """Lightning's precision for the strategy fsdp, which leaves batches as they are."""
