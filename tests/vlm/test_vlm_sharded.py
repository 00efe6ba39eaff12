"""A vision-language ranker inside FSDP, which gathers whole states and wants each weight in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed
from torch.distributed.fsdp import FullStateDictConfig, FullyShardedDataParallel, StateDictType

from tests.backbones.test_vlm import ranker, saved_state


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*NO_SHARD")  # torch on what one process cannot do
def test_a_checkpoint_of_fsdp_is_that_of_a_plain_ranker(tiny: Callable[[str], Path]) -> None:
    one, other = ranker(tiny("qwen2_vl"), 0), ranker(tiny("qwen2_vl"), 1)
    expected = {name: weight.clone() for name, weight in saved_state(one).items()}
    store = distributed.HashStore()  # type: ignore[attr-defined]  # public, says its documentation
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        cpu = torch.device("cpu")
        sharded, fresh = (FullyShardedDataParallel(r, use_orig_params=True, device_id=cpu) for r in (one, other))
        with FullyShardedDataParallel.state_dict_type(sharded, StateDictType.FULL_STATE_DICT, FullStateDictConfig()):
            checkpoint: dict[str, Any] = {"state_dict": sharded.state_dict()}
        one.on_save_checkpoint(checkpoint)
        assert checkpoint["state_dict"].keys() == expected.keys()
        for name, weight in expected.items():
            assert torch.equal(checkpoint["state_dict"][name], weight), name

        with FullyShardedDataParallel.state_dict_type(fresh, StateDictType.FULL_STATE_DICT, FullStateDictConfig()):
            fresh.load_state_dict(checkpoint["state_dict"])
            again: dict[str, Any] = {"state_dict": fresh.state_dict()}
        assert all(torch.equal(again["state_dict"][name], weight) for name, weight in expected.items())
    finally:
        distributed.destroy_process_group()
