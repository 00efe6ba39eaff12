"""Literals are read as Python reads them, and code is never run."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from georanker.data.literals import MAX_CHARACTERS, MAX_DEPTH, parse_literal

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
CELLS = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.tuples(inner) | st.tuples(inner, inner), max_leaves=20
).filter(lambda value: depth(value) <= MAX_DEPTH)


def depth(value: object) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, list | tuple) else 0


def as_lists(value: object) -> object:
    return [as_lists(each) for each in value] if isinstance(value, list | tuple) else value


@given(CELLS)
def test_as_python_reads_it(value: object) -> None:
    text = repr(value)
    found = parse_literal(text)
    assert found == as_lists(ast.literal_eval(text))
    assert repr(found) == repr(as_lists(value)), "types too, which == does not tell apart"
    assert parse_literal(f"  {text}\n") == found


@given(st.text(alphabet="[](),'\"\\ 1.e-+é"))
def test_what_is_read_is_what_python_reads(text: str) -> None:
    try:
        found = parse_literal(text)
    except ValueError:
        return
    assert found == as_lists(ast.literal_eval(text.strip()))


def test_what_numpy_writes() -> None:
    pairs = [(np.float64(46.5), np.float64(-1e-7)), (np.float32(2.0), np.int64(3))]
    assert parse_literal(repr(pairs)) == [[46.5, -1e-7], [2.0, 3]]
    assert parse_literal(repr([np.array([1.0, 2.5]), np.str_("Nice, l'été")])) == [[1.0, 2.5], "Nice, l'été"]
    found = parse_literal("[nan, -inf, None, 'nan']")
    assert isinstance(found, list)
    assert repr(found) == "[nan, -inf, None, 'nan']"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "[",
        "]",
        "[1",
        "[1)",
        "1, 2",
        "[1 2]",
        "[1, , 2]",
        "[,]",
        "[1]]",
        "[1][0]",
        "[1-2]",
        "1+1",
        "-[1]",
        "- 1",
        "1_000",
        "0x10",
        "007",
        "[-01]",
        "00",
        "'a' 'b'",
        "'a",
        "b'a'",
        "f'{1}'",
        "'''a'''",
        r"'\ud800'",
        "'\\q'",
        "{'a': 1}",
        "{1}",
        "[...]",
        "1j",
        "x",
        "lambda: 1",
        "np.float64(1, 2)",
        "np.float64(x)",
        "array([1.], dtype=float32)",
        "[x for x in y]",
        "٣",
    ],
)
def test_what_is_no_literal(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        parse_literal(text)


@pytest.mark.parametrize(
    "code",
    [
        "__import__('os').system('touch {}')",
        "[(1.0, __import__('pathlib').Path('{}').touch())]",
        "open('{}', 'w')",
        "exec(\"open('{}', 'w')\")",
        "(lambda: open('{}', 'w'))()",
        "np.float64(open('{}', 'w'))",
        "array([open('{}', 'w')])",
    ],
)
def test_code_does_not_run(code: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(ValueError, match=r"not part of a list|follows a value"):
        parse_literal(code.format(canary))
    assert not canary.exists()


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        "-" * 100_000 + "1",
        "1" + "+1" * 100_000,
        "'" + "\\'" * 400_000,
        "'a'" * 300_000,
        "np.float64(" * 90_000,
        "9" * 100_000,
        "[" + "1," * MAX_CHARACTERS,
    ],
    ids=["(", "[", "-", "+", "quote", "quotes", "call", "digits", "long"],
)
def test_what_would_break_a_parser(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]{1,200}$"):
        parse_literal(text)


def test_the_limit_of_depth() -> None:
    assert parse_literal("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    with pytest.raises(ValueError, match="more than 8 deep"):
        parse_literal("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
