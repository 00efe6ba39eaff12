"""The order of reading depends on seed and epoch alone, whoever reads and wherever reading starts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.data.epoch_sampler import EpochSampler

many = settings(deadline=None, derandomize=True, max_examples=60)
sizes, epochs, seeds, processes = st.integers(1, 200), st.integers(0, 50), st.integers(0, 2**31), st.integers(1, 8)


def read(
    size: int, seed: int = 0, epoch: int = 0, rank: int = 0, processes: int = 1, shuffle: bool = True, block: int = 1
) -> list[int]:
    sampler = EpochSampler(size, shuffle, seed, block, rank, processes)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert len(sampler) == len(order)
    return order


@many
@given(size=sizes, seed=seeds, epoch=epochs)
def test_a_permutation_that_repeats(size: int, seed: int, epoch: int) -> None:
    order = read(size, seed, epoch)
    assert sorted(order) == list(range(size))
    assert read(size, seed, epoch) == order


def test_seeds_and_epochs_mix_anew() -> None:
    orders = {tuple(read(100, seed, epoch)) for seed in range(20) for epoch in range(20)}
    assert len(orders) == 400
    assert tuple(range(100)) not in orders


@many
@given(size=sizes, seed=seeds, epoch=epochs, processes=processes, share=st.integers(1, 8))
def test_processes_see_the_global_batches_of_one(size: int, seed: int, epoch: int, processes: int, share: int) -> None:
    alone = read(size, seed, epoch)
    together = [read(size, seed, epoch, rank, processes) for rank in range(processes)]
    assert len({len(order) for order in together}) == 1, "a process with fewer items would leave the others waiting"
    batch = share * processes
    for step in range(size // batch):
        found = [item for order in together for item in order[step * share : (step + 1) * share]]
        assert sorted(found) == sorted(alone[step * batch : (step + 1) * batch])


@many
@given(size=sizes, processes=processes, block=st.integers(1, 9))
def test_evaluation_has_the_same_batches_for_any_number_of_processes(size: int, processes: int, block: int) -> None:
    def batches(processes: int) -> list[list[int]]:
        shares = [read(size, rank=rank, processes=processes, shuffle=False, block=block) for rank in range(processes)]
        return sorted(share[at : at + block] for share in shares for at in range(0, len(share), block))

    assert batches(processes) == batches(1)


@many
@given(size=sizes, processes=processes, block=st.integers(1, 9))
def test_evaluation_counts_each_item_once(size: int, processes: int, block: int) -> None:
    shares = [read(size, 0, 0, rank, processes, shuffle=False, block=block) for rank in range(processes)]
    assert sorted(item for order in shares for item in order) == list(range(size))
    assert all(order == sorted(order) for order in shares)
    assert read(size, seed=3, epoch=9, shuffle=False) == list(range(size))


@many
@given(size=sizes, seed=seeds, epoch=epochs, processes=processes, data=st.data())
def test_a_resumed_epoch_goes_on_with_the_next_item(
    size: int, seed: int, epoch: int, processes: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(0, processes - 1))
    whole = read(size, seed, epoch, rank, processes)
    skip = data.draw(st.integers(0, len(whole)))
    resumed = EpochSampler(size, True, seed, 1, rank, processes, position=lambda: (epoch, skip))
    assert list(resumed) == whole[skip:]


def test_the_position_is_asked_when_an_epoch_is_read() -> None:
    positions = iter([(2, 7), (3, 0)])
    sampler = EpochSampler(20, True, seed=5, position=lambda: next(positions))
    assert list(sampler) == read(20, 5, epoch=2)[7:]
    assert list(sampler) == read(20, 5, epoch=3)
