"""Reading stated values: numbers and verdicts as JSON, as text of numbers, or not at all.

A value that is null, NaN, infinite or of another type is no value: it is left empty, never replaced by a guess.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Set
from typing import Any, Final

_LONGEST_KEPT: Final = 2000
_LONGEST_NUMBER: Final = 40
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LARGEST_WHOLE: Final = 2**62
_LARGEST_INTEGER: Final = 2**63
_DEEPEST: Final = 50
_SURELY_SHORT: Final = 300
_TRUE_WORDS: Final = {"true": True, "false": False, "correct": True, "incorrect": False, "yes": True, "no": False}


def read_number(value: Any) -> float | None:
    """Return a value as a finite number; None for null, NaN, infinities, and what is no number.

    Text of a number (`"1.0"`) is a number, since writers with `default=str` make such text; true is 1 and false 0.
    """
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in ("true", "false"):
            return float(text.lower() == "true")
        if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
            return None
        value = float(text)
    if not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read_whole(value: Any) -> int | None:
    """Return a value as a whole number that the index can store; None if it is not one."""
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
        text = value.strip()
        if _WHOLE.fullmatch(text):
            value = int(text)
        elif _NUMBER.fullmatch(text):
            value = float(text)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_WHOLE else None


def read_verdict(value: Any) -> bool | None:
    """Return a value as a verdict: true or false, 1 or 0, also as text; None for anything between or else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _TRUE_WORDS:
        return _TRUE_WORDS[value.strip().lower()]
    number = read_number(value)
    return bool(number) if number in (0.0, 1.0) else None


def is_verdict(value: Any) -> bool:
    """Return whether a value can only be a verdict: true or false, also as text."""
    return isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in ("true", "false"))


def read_answer(value: Any) -> str | None:
    """Return a stated answer as text; None if it is neither text nor a finite number."""
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, int | float):
        return repr(value) if isinstance(value, float) or abs(value) < 10**300 else None
    return value if isinstance(value, str) else None


def read_label(value: Any) -> str | int | None:
    """Return a value as a label: text, or a whole number."""
    if isinstance(value, str):
        return value
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_INTEGER else None


def read_object(value: Any) -> Mapping[str, Any] | None:
    """Return a JSON object, also given as text: cells of CSV files and parquet columns hold text."""
    decoded = decode_json_text(value)
    return decoded if isinstance(decoded, Mapping) else None


def decode_json_text(value: Any) -> Any:
    """Return the list or object that a text is the JSON of; any other value as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def other_columns(row: Mapping[str, Any], used: Set[str]) -> dict[str, Any]:
    """Return the columns of a row that no field is read from, as JSON, without long ones."""
    return {name: kept for name, value in row.items() if name not in used and (kept := kept_json(value)) is not None}


def kept_json(value: Any) -> Any:
    """Return a value as JSON that the index can read; None if it is None or too long to repeat."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= _SURELY_SHORT:
        return value
    if type(value) is int and abs(value) < _LARGEST_INTEGER:
        return value
    try:
        text = json.dumps(_without_huge(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(str(value))
    return json.loads(text) if len(text) <= _LONGEST_KEPT else None


def has_huge_whole(value: Any, depth: int = _DEEPEST) -> bool:
    """Return whether a JSON value has an integer beyond 64 bits, which the index cannot store, or is nested deeply."""
    if value is None or isinstance(value, (str, float)):
        return False
    if isinstance(value, int):
        return abs(value) >= _LARGEST_INTEGER
    if isinstance(value, (dict, Mapping)):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return False
    if depth == 0:
        return True
    for each in value:  # most values are flat, and every rollout has some
        if type(each) is int:
            if abs(each) >= _LARGEST_INTEGER:
                return True
        elif type(each) is not str and has_huge_whole(each, depth - 1):
            return True
    return False


def _without_huge(value: Any) -> Any:
    """The value with integers beyond 64 bits as text, which keep their digits."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _LARGEST_INTEGER:
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _without_huge(each) for name, each in value.items()}
    return [_without_huge(each) for each in value] if isinstance(value, list | tuple) else value
