"""An optimizer's state spread over GPUs."""

from __future__ import annotations

from lightning.pytorch.plugins.precision import DeepSpeedPrecision

from georanker.precision.base import KeepsBatches


class ZeroPrecision(KeepsBatches, DeepSpeedPrecision):
    """Lightning's precision for the strategies deepspeed_stage_1, 2 and 3, which leaves batches as they are."""
