"""Placeholders: types kept, everything else left alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.recipe.interpolation import interpolate, placeholders
from jobs.recipe.labels import Label

LABELS: dict[str, Label] = {"condition": "none", "seed": 3, "rate": 0.5, "flag": True}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{seed}", 3),
        ("{rate}", 0.5),
        ("{flag}", True),
        ("{condition}", "none"),
        ("run-{condition}-{seed}", "run-none-3"),
        (" {seed}", " 3"),
        ("is {flag}", "is true"),
        ("{{seed}}", "{seed}"),
        ("{{seed}} {seed}", "{seed} 3"),
        ("{{{seed}}}", "{{seed}}"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("{ seed }", "{ seed }"),
        ("{}", "{}"),
        ("{Seed}", "{Seed}"),
    ],
)
def test_a_string(text: str, value: object) -> None:
    filled = interpolate(text, LABELS)
    assert (filled, type(filled)) == (value, type(value))


def test_strings_at_any_depth_but_no_keys() -> None:
    config = {"{seed}": ["{seed}", {"x": ["a{condition}"]}], "n": 7}
    assert interpolate(config, LABELS) == {"{seed}": [3, {"x": ["anone"]}], "n": 7}
    assert placeholders(config) == {"seed": ("{seed}", 0), "condition": ("{seed}", 1, "x", 0)}


def test_a_placeholder_without_value() -> None:
    with pytest.raises(KeyError, match="sead"):
        interpolate("{sead}", LABELS)


plain = st.text(max_size=20).filter(lambda text: "{" not in text and "}" not in text)
labels = st.one_of(st.integers(), st.booleans(), st.floats(allow_nan=False), plain)


@given(st.dictionaries(plain, st.one_of(plain, st.integers(), st.lists(plain)), max_size=4))
def test_a_config_without_braces_is_left_alone(config: dict[str, Any]) -> None:
    assert placeholders(config) == {}
    assert interpolate(config, {}) == config


@given(labels)
def test_one_placeholder_alone_is_the_value_itself(label: Label) -> None:
    filled = interpolate("{x}", {"x": label})
    assert filled == label
    assert type(filled) is type(label)


@given(st.lists(st.one_of(plain, st.sampled_from(["{a}", "{b}"])), max_size=6), plain, plain)
def test_a_string_is_its_parts_filled_in(parts: list[str], a: str, b: str) -> None:
    filled = interpolate("".join(parts), {"a": a, "b": b})
    assert filled == "".join({"{a}": a, "{b}": b}.get(part, part) for part in parts)


@given(st.lists(st.sampled_from(["{", "}", "{x}", "{{x}}", "{y}", "x", " "]), max_size=8))
def test_what_placeholders_finds_is_what_interpolate_needs(parts: list[str]) -> None:
    """All names it finds are enough, and without any one of them that one is asked for; `{` `x` `x` `}` needs `xx`."""
    text = "".join(parts)
    needed = dict.fromkeys(placeholders(text), 1)
    interpolate(text, needed)
    for name in needed:
        rest = {other: value for other, value in needed.items() if other != name}
        with pytest.raises(KeyError, match=f"^'{name}'$"):
            interpolate(text, rest)
