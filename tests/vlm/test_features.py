"""Photos go through the vision tower by a budget of tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from georanker.vlm.features import together


@given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=9), max_size=5), st.integers(1, 120))
def test_each_photo_once_and_within_the_budget(tokens: list[list[int]], budget: int) -> None:
    sizes = [size for group in tokens for size in group]
    numbers = iter(range(len(sizes)))
    groups = [[next(numbers) for _ in group] for group in tokens]
    portions = list(together(groups, sizes, budget))
    assert [number for portion in portions for number in portion] == list(range(len(sizes)))
    for portion in portions:
        assert len(portion) == 1 or sum(sizes[number] for number in portion) <= budget
        assert any(set(portion) <= set(group) for group in groups)
    if all(sum(group) <= budget for group in tokens):
        assert len(portions) == len(groups)
