"""`--assert`: the language, and that a missing value is never zero."""

import contextlib
import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogtui.cli.run.assertions import (
    Assertion,
    BinaryOperation,
    ConstantValue,
    Expression,
    Negation,
    ResultReference,
    UnaryMinus,
    parse_assertion,
)
from cogtui.cli.run.check import CellResults, check_assertion, check_names
from jobs.recipe.labels import Label
from pipelines.errors import InvalidInput


def cell(labels: dict[str, Label], **stages: dict[str, Any]) -> CellResults:
    """A cell whose stages have keys of their own."""
    title = "-".join(map(str, labels.values()))
    return CellResults(labels, {name: (f"{name}-{title}", result) for name, result in stages.items()})


CELLS = [
    cell({"condition": "none", "seed": 1}, ppo={"reward_first": 0.1, "reward_last": 0.2, "n": 8, "note": "x"}),
    cell({"condition": "none", "seed": 2}, ppo={"reward_first": 0.1, "reward_last": 0.3, "n": 8, "note": "x"}),
    cell(
        {"condition": "both", "seed": 1},
        ppo={"reward_first": 0.2, "reward_last": 0.6, "n": 8, "curve": [1, {"mean": 2}], "lost": None, "ok": True},
        prime={"loss": 1.5},
    ),
    cell(
        {"condition": "both", "seed": 2},
        ppo={"reward_first": 0.2, "reward_last": 0.4, "n": 8, "curve": [3, {"mean": 4}]},
        prime={"loss": 1.0},
    ),
]


def outcomes(text: str, cells: list[CellResults] | None = None) -> list[tuple[str, bool]]:
    return [
        (found.cell, found.holds) for found in check_assertion(parse_assertion(text), CELLS if cells is None else cells)
    ]


def test_every_cell_is_checked() -> None:
    assert outcomes("ppo.reward_last > ppo.reward_first + 0.15") == [
        ("condition=none seed=1", False),
        ("condition=none seed=2", True),
        ("condition=both seed=1", True),
        ("condition=both seed=2", True),
    ]


def test_the_values_are_shown() -> None:
    found = check_assertion(parse_assertion("ppo.reward_last > 2 * ppo.reward_first"), CELLS[:1])
    assert found[0].values == {"ppo.reward_last": 0.2, "ppo.reward_first": 0.1}
    assert str(found[0]) == "condition=none seed=1: ppo.reward_last = 0.2, ppo.reward_first = 0.1"


def test_only_cells_that_have_the_stage_count() -> None:
    assert outcomes("prime.loss > 1.2") == [("condition=both seed=1", True), ("condition=both seed=2", False)]


def test_selectors_compare_conditions_seed_by_seed() -> None:
    text = "ppo[condition=both].reward_last > ppo.reward_last[condition='none']"
    assert outcomes(text) == [("seed=1", True), ("seed=2", True)]
    assert outcomes("ppo[condition=both seed=1].reward_last > ppo[condition=none, seed=2].reward_last") == [("", True)]


def test_a_selector_beside_the_cell_itself() -> None:
    assert outcomes("ppo.reward_last >= ppo[condition=none].reward_last") == [
        ("seed=1", True),
        ("seed=2", True),
        ("seed=1", True),
        ("seed=2", True),
    ]


def test_functions_run_over_every_cell_left() -> None:
    found = check_assertion(
        parse_assertion("mean(ppo[condition=both].reward_last) > max(ppo[condition=none].reward_last)"), CELLS
    )
    assert [(one.cell, one.holds) for one in found] == [("", True)]
    assert found[0].values == {
        "mean(ppo[condition=both].reward_last)": pytest.approx(0.5),
        "max(ppo[condition=none].reward_last)": 0.3,
    }
    assert outcomes("min(ppo.reward_last) == 0.2") == [("", True)]


def test_a_stage_that_cells_share_counts_once() -> None:
    shared = {"base": ("base-1", {"accuracy": 1.0})}
    cells = [
        CellResults({"seed": 1}, shared),
        CellResults({"seed": 2}, shared),
        CellResults({"seed": 3}, {"base": ("base-2", {"accuracy": 0.0})}),
    ]
    assert outcomes("mean(base.accuracy) == 0.5", cells) == [("", True)]
    assert outcomes("base.accuracy == 1", cells) == [("seed=1", True), ("seed=3", False)]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("1 + 2 * 3 == 7", True),
        ("(1 + 2) * 3 == 9", True),
        ("8 / 4 / 2 == 1", True),
        ("7 - 2 - 1 == 4", True),
        ("-2 - -3 == 1", True),
        ("--2 == 2", True),
        ("not 1 > 2", True),
        ("not not 1 > 2", False),
        ("1 > 2 or 2 > 1 and 1 > 2", False),
        ("(1 > 2 or 2 > 1) and 2 > 1", True),
        ("1e3 == 1000", True),
        ("true", True),
        ("false or true != false", True),
        ("'a' == \"a\"", True),
        ("'a' != 'b'", True),
    ],
)
def test_operators(text: str, holds: bool) -> None:
    assert outcomes(f"{text} and mean(ppo.n) == 8") == [("", holds)]


def test_fields_inside_fields() -> None:
    one = CELLS[2:3]
    assert outcomes("ppo.curve.0 == 1 and ppo.curve.1.mean == 2 and ppo.ok", one) == [("condition=both seed=1", True)]
    assert outcomes("ppo.'reward_last' == 0.6", one)[0][1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ppo.lost > 0", "ppo.lost is missing in ppo-both-1"),
        ("ppo.reward_lst > 0", "the result of ppo has no 'reward_lst'"),
        ("ppo.curve.7 > 0", "the result of ppo has no 'curve.7'"),
        ("ppo.curve > 0", "ppo.curve is not a single value"),
        ("true or ppo.lost > 0", "ppo.lost is missing"),
        ("judge.n > 0", "no cell has a result of all of judge"),
        ("mean(judge.n) > 0", "mean(judge.n) has no value"),
        ("ppo.n / 0 > 1", "division by zero"),
        ("ppo.n", "must evaluate to true or false, but ppo.n is 8"),
        ("ppo.ok > 0", "an operand of > is not a number: true"),
        ("ppo.n == '8'", "8 and '8' are of different types"),
        ("ppo.ok and ppo.n", "an operand of and is neither true nor false: 8"),
        ("not ppo.n", "an operand of not is neither true nor false: 8"),
        ("-ppo.ok == 1", "a negated value is not a number"),
    ],
)
def test_what_cannot_be_answered_is_an_error(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_assertion(parse_assertion(text), CELLS[2:3])
    assert message in caught.value.summary


def test_a_missing_field_names_the_nearest() -> None:
    with pytest.raises(InvalidInput, match=r"Did you mean reward_last\?"):
        check_assertion(parse_assertion("ppo.reward_lats > 0"), CELLS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pop.n > 0", "the recipe has no stage 'pop'\nDid you mean ppo?"),
        ("mean(ppo[conditon=none].n) > 0", "the matrix has no 'conditon'\nDid you mean condition?"),
        ("ppo[condition=nonne].n > 0", "condition has no value 'nonne'\nDid you mean none?"),
        ("ppo[seed=3].n > 0", "seed has no value '3'\nValues: 1, 2."),
    ],
)
def test_names_are_checked_before_anything_runs(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_names(parse_assertion(text), ["base", "ppo"], [cell.labels for cell in CELLS])
    assert message in str(caught.value)
    check_names(parse_assertion("ppo[seed=2].n > base.n"), ["base", "ppo"], [cell.labels for cell in CELLS])


@pytest.mark.parametrize(
    ("text", "caret"),
    [
        ("", 0),
        ("ppo.n >", 7),
        ("ppo > 1", 4),
        ("ppo.n > 1 2", 10),
        ("(ppo.n > 1", 10),
        ("1 < ppo.n < 3", 10),
        ("ppo.n ** 2 > 1", 7),
        ("__import__('os').system('ls')", 0),
        ("ppo.n > $", 8),
        ("median(ppo.n) > 1", 0),
        ("mean(3) > 1", 5),
        ("mean(ppo.n, ppo.n) > 1", 10),
        ("ppo[].n > 1", 3),
        ("ppo[seed].n > 1", 3),
        ("ppo[seed=1 seed=2].n > 1", 3),
        ("ppo.n > 1 and", 13),
        ("and", 0),
        ("lambda: 0", 6),
        ("'open > 1", 0),
    ],
)
def test_a_mistake_is_pointed_at(text: str, caret: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_assertion(text)
    assert caught.value.detail.splitlines()[-1] == " " * caret + "^"


def test_bounds() -> None:
    with pytest.raises(InvalidInput, match="nested too deeply"):
        parse_assertion("(" * 500 + "1" + ")" * 500)
    with pytest.raises(InvalidInput, match="longer than"):
        parse_assertion("1+" * 5000 + "1 > 0")


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):  # anything else that is raised fails the test
        assert parse_assertion(text).text == text


numbers = st.integers(1, 9).map(lambda number: ConstantValue(float(number)))
references = st.builds(
    ResultReference,
    st.sampled_from(["ppo", "base"]),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2).map(tuple),
    st.sampled_from([(), (("seed", "1"),)]),
)
sums = st.recursive(
    numbers | references,
    lambda inner: (
        st.builds(BinaryOperation, st.sampled_from(["+", "-", "*", "/"]), inner, inner) | st.builds(UnaryMinus, inner)
    ),
    max_leaves=8,
)
comparisons = st.builds(BinaryOperation, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), sums, sums)
expressions = st.recursive(
    comparisons,
    lambda inner: st.builds(BinaryOperation, st.sampled_from(["and", "or"]), inner, inner) | st.builds(Negation, inner),
    max_leaves=5,
)


def written(node: Expression) -> str:
    """An expression in full parentheses."""
    if isinstance(node, BinaryOperation):
        return f"({written(node.left)} {node.sign} {written(node.right)})"
    if isinstance(node, UnaryMinus):
        return f"(-{written(node.value)})"
    if isinstance(node, Negation):
        return f"(not {written(node.value)})"
    return f"{node.value:g}" if isinstance(node, ConstantValue) else str(node)


@given(expressions)
def test_what_is_written_out_is_read_back(expression: Expression) -> None:
    assert parse_assertion(written(expression)) == Assertion(written(expression), expression)


OPERATORS: dict[str, Callable[[float, float], float]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


@given(st.lists(st.tuples(st.sampled_from(["+", "-", "*"]), st.integers(0, 9)), max_size=8), st.integers(0, 9))
def test_precedence_is_that_of_arithmetic(rest: list[tuple[str, int]], first: int) -> None:
    text = f"{first}" + "".join(f" {sign} {number}" for sign, number in rest)
    terms: list[float] = [float(first)]
    for sign, number in rest:
        if sign == "*":
            terms[-1] *= number
        else:
            terms.append(OPERATORS[sign](0, number))
    assert outcomes(f"{text} == {sum(terms):.0f}".replace("== -0", "== 0")) == [("", True)]
