"""Cells of a table that hold a Python literal as text, read without running anything."""

from __future__ import annotations

import ast
import re
import warnings
from typing import TypeAlias

Value: TypeAlias = bool | int | float | str | list["Value"] | None

MAX_CHARACTERS = 1 << 20
"""The longest cell that is read; the longest of the public files has some thousands."""
MAX_DEPTH = 8
"""How deep lists may lie in lists; those of the public files have two levels."""

# No possessive quantifiers: those of Python 3.11.2 match the wrong text.
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_CALL = r"(?:(?:np|numpy)\.)?(?:array|float64|float32|float16|int64|int32|str_)\("  # how numpy shows what it holds
_WORD = r"[+-]?[\w.](?:[\w.]|(?<=[eE])[+-])*"  # numbers, nan, None, and whatever does not belong here
# A quote without an end takes the rest with it: searching for the end again and again would take for ever.
_TOKEN = re.compile(rf"{_QUOTED}|['\"].*|{_CALL}|{_WORD}|\S", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NAMES: dict[str, Value] = {"None": None, "null": None, "True": True, "False": False}


def parse_literal(text: str) -> Value:
    """Return what a Python literal says: lists and tuples (both as lists), texts, numbers, None, True and False.

    Also read are nan, inf and what numpy writes, such as `np.float64(1.5)` and `array([1., 2.])`. Nothing else is: a
    name, a call, an operator or a cell of code is an error, and never runs.

    Args:
        text: the cell; at most `MAX_CHARACTERS` long, with lists at most `MAX_DEPTH` deep.

    Raises:
        ValueError: it is not such a literal; the message says where it stops to be one.

    >>> parse_literal("[(48.85, 2.35), (nan, -1e-3)]")
    [[48.85, 2.35], [nan, -0.001]]
    >>> parse_literal('''["Cortina d'Ampezzo", 'Veneto', None]''')
    ["Cortina d'Ampezzo", 'Veneto', None]
    >>> parse_literal("__import__('os').remove('a')")
    Traceback (most recent call last):
        ...
    ValueError: '__import__' is not part of a list of values
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{len(text):,} characters are more than the {MAX_CHARACTERS:,} that are read")
    values: list[Value] = []  # of the list that is open
    opened, commas, after_value = "", 0, False
    outer: list[tuple[list[Value], str, int]] = []  # the lists around it
    for token in _TOKEN.findall(text):
        if token == ",":
            if not after_value or not outer:
                raise ValueError("a comma without a list's value before it")
            commas, after_value = commas + 1, False
        elif token in ("]", ")"):
            if not outer or (token == "]") != (opened == "["):
                raise ValueError(f"a {token} that closes nothing")
            closed: Value = values
            if opened not in ("[", "("):  # a call of numpy
                if len(values) != 1 or commas:
                    raise ValueError(f"{opened}) needs one value")
                closed = values[0]
            elif opened == "(" and len(values) == 1 and not commas:
                closed = values[0]
            values, opened, commas = outer.pop()
            values.append(closed)
            after_value = True
        elif after_value:
            raise ValueError(f"{_shown(token)} follows a value without a comma")
        elif token[-1] in "[(":
            if len(outer) == MAX_DEPTH:
                raise ValueError(f"lists lie more than {MAX_DEPTH} deep")
            outer.append((values, opened, commas))
            values, opened, commas = [], token, 0
        else:
            values.append(_scalar(token))
            after_value = True
    if outer:
        raise ValueError("it ends before all brackets are closed")
    if not values:
        raise ValueError("it is empty")
    return values[0]


def _scalar(token: str) -> Value:
    if token[0] in "'\"":
        if len(token) < 2 or token[-1] != token[0]:
            raise ValueError("a text without an end")
        return _text(token) if "\\" in token or "\n" in token else token[1:-1]
    if _NUMBER.fullmatch(token):
        digits = token.lstrip("+-")
        if not digits.isdigit():
            return float(token)
        if digits[0] == "0" and len(digits) > 1:  # it may be an id, which would become another one
            raise ValueError(f"{_shown(token)} begins with 0: a text, such as an id, stands in quotes")
        return int(token)
    if token in _NAMES:
        return _NAMES[token]
    if token.lstrip("+-").lower() in ("nan", "inf"):
        return float(token)
    raise ValueError(f"{_shown(token)} is not part of a list of values")


def _text(token: str) -> str:
    """Read the escapes of one quoted text, with nothing around it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an escape that Python does not know
        try:
            text = ast.literal_eval(token)
        except SyntaxError as error:
            raise ValueError(f"{_shown(token)} is not a text ({error.msg})") from error
    assert isinstance(text, str)
    text.encode()  # half of a letter is a ValueError here, and not where it would be written
    return text


def _shown(token: str) -> str:
    return repr(token if len(token) <= 40 else f"{token[:40]}...")
