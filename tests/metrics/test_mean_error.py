from __future__ import annotations

import math

import pytest
import torch
from torchmetrics import MetricCollection

from georanker.metrics import MeanError
from georanker.metrics.inputs import FARTHEST_KM

PREDICTED, TRUTH = torch.tensor([[0.0, 0.0], [math.nan, 0.0]]), torch.zeros(2, 2)


def test_a_missing_answer_is_as_wrong_as_can_be() -> None:
    metric = MeanError()
    metric.update(PREDICTED, TRUTH)
    assert metric.compute().item() == pytest.approx(FARTHEST_KM / 2)


@pytest.mark.parametrize("missing_km", [-1.0, math.inf, math.nan])
def test_its_error_must_be_a_number(missing_km: float) -> None:
    with pytest.raises(ValueError, match="missing_km must be finite"):
        MeanError(missing_km)


def test_collections_keep_settings_apart() -> None:
    metrics = MetricCollection({"none": MeanError(0.0), "ten": MeanError(10.0)})
    metrics.update(TRUTH, TRUTH)
    metrics.update(PREDICTED, TRUTH)
    assert {name: value.item() for name, value in metrics.compute().items()} == {"none": 0.0, "ten": 2.5}
