from __future__ import annotations

import torch

from georanker.metrics import OracleAccuracy


def test_best_of_each_list_whatever_the_scores() -> None:
    distances_km = torch.tensor([[900.0, 20.0], [0.5, 900.0], [0.1, 0.1]])
    mask = torch.tensor([[True, True], [True, True], [False, False]])
    for scores in (torch.zeros(3, 2), torch.tensor([[5.0, -5.0]] * 3)):
        metric = OracleAccuracy(radii_km=(1, 25))
        metric.update(scores, distances_km, mask)
        torch.testing.assert_close(metric.compute(), torch.tensor([1, 2]).double() / 3)
