"""The line of every key, against tomllib's own reading of the same text."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.recipe.toml_lines import key_lines, read_toml
from pipelines.errors import InvalidInput, NotFound


def test_every_way_of_writing_a_key() -> None:
    text = """\
# a comment with [brackets] and = signs
name = "x" # another
seeds = [1,
  2, # two
  3]
a.b."c d" = \"\"\"
text = 1
[not.a.table]
\"\"\"\"
'quoted key' = 'C:\\'
escaped = "a \\" ] # b"
[matrix]
include = [
  { condition = "z", seed = 3 },
  { condition = "y", inner.deep = [[1], [2]] },
]
[[runs]]
k = 1
[[runs]]
k = 2
[runs.sub]
when = 1979-05-27 07:32:00Z
empty = []
"""
    tomllib.loads(text)
    lines = key_lines(text)
    assert lines["name",] == 2
    assert [lines["seeds", index] for index in range(3)] == [3, 4, 5]
    assert lines["a", "b", "c d"] == 6
    assert lines["quoted key",] == 10
    assert lines["escaped",] == 11
    assert lines["matrix",] == 12
    assert lines["matrix", "include", 1, "condition"] == 15
    assert lines["matrix", "include", 1, "inner", "deep", 1, 0] == 15
    assert lines["runs", 0, "k"] == 18
    assert lines["runs", 1, "k"] == 20
    assert lines["runs", 1, "sub", "when"] == 22
    assert lines["runs", 1, "sub", "empty"] == 23


def paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {path} if path else set()
    for key, item in inner:
        found |= paths(item, (*path, key))
    return found


text_values = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
leaves = st.one_of(st.integers(-99, 99), st.booleans(), text_values)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text_values, inner, max_size=3)),
    max_leaves=8,
)
documents = st.dictionaries(text_values, values, max_size=5)


def quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's, for what is no surrogate pair."""
    return json.dumps(text, ensure_ascii=False)


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {inline(item)}, # ]\n" for item in value) + "]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def written(document: dict[str, Any], table: tuple[str, ...] = ()) -> str:
    """A document with tables as headers on every level, and everything else inline."""
    lines = [f"[{'.'.join(map(quoted, table))}]"] if table else []
    tables = {key: item for key, item in document.items() if isinstance(item, dict)}
    lines += [f"{quoted(key)} = {inline(item)}" for key, item in document.items() if key not in tables]
    return "\n".join([*lines, *(written(item, (*table, key)) for key, item in tables.items())])


@given(documents)
def test_finds_exactly_the_keys_that_tomllib_finds(document: dict[str, Any]) -> None:
    text = written(document)
    assert tomllib.loads(text) == document
    lines = key_lines(text)
    assert set(lines) == paths(document)
    total = text.count("\n") + 1
    assert all(1 <= line <= total for line in lines.values())


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), leaves, min_size=1, max_size=6))
def test_a_flat_file_has_one_key_a_line(document: dict[str, Any]) -> None:
    lines = key_lines(written(document))
    assert [lines[key,] for key in document] == list(range(1, len(document) + 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = \n", "r.toml:2: not valid TOML: Invalid value"),
        ("a = 1\n\nb = [1,\n", "r.toml:3: not valid TOML: "),
        ("a = 1\na = 2\n", "r.toml:2: duplicate key 'a'"),
        ("[stages.ppo]\nsteps = 1\n\n[stages.ppo]\n", "r.toml:4: duplicate key 'stages.ppo'"),
        ("[a]\nb.c = 1\n[a.b]\nd = 1\n", "r.toml:3: duplicate key 'a.b'"),
        ("x = {a = 1, a = 2}\n", "r.toml:1: duplicate key"),
    ],
)
def test_what_is_no_toml_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read_toml(path)
    assert caught.value.summary.removeprefix(f"{tmp_path}/").startswith(message)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(b"name = 'x'\nnote = '\xff'\n")
    with pytest.raises(InvalidInput, match=r"r\.toml:2: the file is not UTF-8"):
        read_toml(path)
    with pytest.raises(NotFound, match="No such file"):
        read_toml(tmp_path / "none.toml")
