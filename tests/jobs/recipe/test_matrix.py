"""Seeds and matrix: product, exclude, include."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.recipe.labels import Label
from jobs.recipe.matrix import expand_matrix, is_same_label
from jobs.recipe.source import RecipeProblems, RecipeSource
from pipelines.errors import InvalidInput


def cells(data: dict[str, Any]) -> list[dict[str, Label]]:
    problems = RecipeProblems(RecipeSource(Path("r.toml"), "", data, data, (), {}))
    _, found = expand_matrix(data, problems)
    problems.raise_if_any()
    return found


def test_no_matrix_is_one_cell() -> None:
    assert cells({}) == [{}]


def test_the_product_with_seeds_fastest() -> None:
    assert cells({"seeds": [1, 2], "matrix": {"condition": ["a", "b"]}}) == [
        {"condition": "a", "seed": 1},
        {"condition": "a", "seed": 2},
        {"condition": "b", "seed": 1},
        {"condition": "b", "seed": 2},
    ]


def test_exclude_then_include() -> None:
    found = cells(
        {
            "seeds": [1, 2],
            "matrix": {
                "condition": ["a", "b"],
                "size": [1, 2],
                "exclude": [{"condition": "b", "size": 1}, {"condition": "a", "seed": 2}],
                "include": [{"condition": "c", "size": 9}, {"condition": "b", "size": 1, "seed": 7}],
            },
        }
    )
    assert [tuple(cell.values()) for cell in found] == [
        ("a", 1, 1),
        ("a", 2, 1),
        ("b", 2, 1),
        ("b", 2, 2),
        ("c", 9, 1),
        ("c", 9, 2),
        ("b", 1, 7),
    ]
    assert all(list(cell) == ["condition", "size", "seed"] for cell in found)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"seeds": []}, "seeds is a list with at least one value, not []"),
        ({"seeds": 3}, "seeds is a list with at least one value, not 3"),
        ({"seeds": [1, True]}, "a seed is a whole number, not True"),
        ({"seeds": [1, 1]}, "seeds has 1 twice"),
        ({"matrix": {"seed": [1]}}, "the seeds have their own list"),
        ({"matrix": {"Size": [1]}}, "'Size' is not a valid dimension"),
        ({"matrix": {"size": "small"}}, "matrix.size is a list with at least one value, not 'small'"),
        ({"matrix": {"size": [[1]]}}, "matrix.size has a value that is neither text"),
        ({"matrix": {"rate": [float("nan")]}}, "matrix.rate has nan"),
        ({"matrix": {"size": [1, 2], "exclude": [{"size": 3}]}}, "this excludes no cell: size=3"),
        ({"matrix": {"size": [1], "exclude": [{"size": 1}]}}, "the matrix is empty"),
        ({"matrix": {"size": [1], "exclude": [{"sice": 1}]}}, "the matrix has no 'sice'"),
        ({"matrix": {"size": [1], "exclude": [{}]}}, "this entry of exclude is empty"),
        ({"matrix": {"size": [1], "exclude": {"size": 1}}}, "exclude is a list of tables"),
        ({"matrix": {"size": [1], "include": [{"size": [2]}]}}, "size takes one value here, not [2]"),
        ({"matrix": {"size": [1], "include": [{"size": 1}]}}, "this cell exists already: size=1"),
        ({"matrix": {"a": [1], "b": [1], "include": [{"a": 2}]}}, "here b is missing"),
    ],
)
def test_what_is_wrong_is_said(data: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        cells(data)
    assert message in caught.value.summary


values = st.lists(
    st.one_of(st.integers(0, 3), st.booleans(), st.sampled_from(["a", "b"]), st.sampled_from([0.0, 1.0, 0.5])),
    min_size=1,
    max_size=4,
    unique_by=lambda value: (type(value), value),
)
matrices = st.dictionaries(st.sampled_from(["condition", "size", "rate"]), values, max_size=3)
seed_lists = st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True)


@given(matrices, seed_lists)
def test_every_combination_once(matrix: dict[str, list[Label]], seeds: list[int]) -> None:
    found = cells({"seeds": seeds, "matrix": matrix})
    wanted = list(itertools.product(*matrix.values(), seeds))
    assert [tuple(cell.values()) for cell in found] == wanted
    assert [[type(value) for value in cell.values()] for cell in found] == [[type(v) for v in row] for row in wanted]


@given(matrices.filter(bool), seed_lists, st.data())
def test_exclude_removes_what_matches_and_nothing_else(
    matrix: dict[str, list[Label]], seeds: list[int], data: st.DataObject
) -> None:
    whole = cells({"seeds": seeds, "matrix": matrix})
    names = data.draw(st.lists(st.sampled_from([*matrix, "seed"]), min_size=1, unique=True))
    entry = {name: data.draw(st.sampled_from([*matrix.get(name, seeds)])) for name in names}
    kept = [cell for cell in whole if not all(is_same_label(cell[name], value) for name, value in entry.items())]
    given_data = {"seeds": seeds, "matrix": {**matrix, "exclude": [entry]}}
    if kept:
        assert cells(given_data) == kept
    else:
        with pytest.raises(InvalidInput, match="the matrix is empty"):
            cells(given_data)
