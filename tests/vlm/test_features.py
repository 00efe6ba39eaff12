"""Photos go through the vision tower by a budget of tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from georanker.vlm.features import together


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 50)), max_size=5), st.integers(1, 120))
def test_each_photo_once_and_within_the_budget(shapes: list[tuple[int, int]], budget: int) -> None:
    groups: list[list[int]] = []
    sizes: list[int] = []
    for count, tokens in shapes:
        groups.append(list(range(len(sizes), len(sizes) + count)))
        sizes += [tokens] * count
    portions = list(together(groups, sizes, budget))
    assert [number for portion in portions for number in portion] == list(range(len(sizes)))
    for portion in portions:
        assert len(portion) == 1 or sum(sizes[number] for number in portion) <= budget
        assert len({sizes[number] for number in portion}) == 1
    if all(len(group) * sizes[group[0]] <= budget for group in groups):
        assert len(portions) == len(groups)
