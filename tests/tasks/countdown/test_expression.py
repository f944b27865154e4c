from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.tasks.countdown.expression import (
    MAX_LENGTH,
    DivisionByZero,
    ExpressionError,
    Step,
    TooLong,
    evaluate,
    parse,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", Fraction(7)),
        ("0", Fraction(0)),
        ("1 + 2 * 3", Fraction(7)),
        ("(1 + 2) * 3", Fraction(9)),
        ("8 - 3 - 2", Fraction(3)),
        ("8 - (3 - 2)", Fraction(7)),
        ("8 / 4 / 2", Fraction(1)),
        ("8 / (4 / 2)", Fraction(4)),
        ("2 * 3 / 4 * 6", Fraction(9)),
        ("2 + 3 / 4 - 6", Fraction(-13, 4)),
        ("8 / (3 - 8 / 3)", Fraction(24)),
        ("-3 + 5", Fraction(2)),
        ("-(3 - 5)", Fraction(2)),
        ("3 - -5", Fraction(8)),
        ("2 * -3", Fraction(-6)),
        ("-2 * 3 + 1", Fraction(-5)),
        ("--5", Fraction(5)),
        ("+-+5", Fraction(-5)),
        ("((((4))))", Fraction(4)),
        ("1\n+\n2\t*\r\n3", Fraction(7)),
        ("12+34", Fraction(46)),
    ],
)
def test_value(text: str, value: Fraction) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("   ", 3),
        ("1 +", 3),
        ("1 2", 2),
        ("(1)(2)", 3),
        ("2(3)", 1),
        ("(3)4", 3),
        ("(1 + 2", 6),
        ("1 + 2)", 5),
        ("()", 1),
        ("* 3", 0),
        ("1 ** 2", 3),
        ("1 // 2", 3),
        ("9**9**9**9", 2),
        ("1.5", 1),
        ("3.", 1),
        (".5", 0),
        ("1_0", 1),
        ("1e3", 1),
        ("0x10", 1),
        ("007", 0),
        ("1 + 03", 4),
        ("x", 0),
        ("1 = 1", 2),
        ("2 × 3", 2),
        ("٣ + 4", 0),
        ("３+４", 0),
        ("2²", 1),
        ("1\x00+2", 1),
        ("1\u00a0+ 2", 1),
        ("1 +\ud800 2", 3),
        ("__import__('os')", 0),
    ],
)
def test_refused_at(text: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.position == position
    assert caught.value.summary


@pytest.mark.parametrize("text", ["1 / 0", "1 / (3 - 3)", "(1 - 1) / (2 - 2)", "5 / (1 / 2 - 2 / 4)"])
def test_no_value_without_division(text: str) -> None:
    expression = parse(text)
    with pytest.raises(DivisionByZero):
        expression.value()
    with pytest.raises(DivisionByZero):
        expression.steps()


def test_numbers_in_reading_order() -> None:
    assert parse("(7 - 3) * 25 / (3 + 1)").numbers == (7, 3, 25, 3, 1)


def test_steps_in_the_order_they_are_carried_out() -> None:
    assert parse("(7 - 3) * -(1 / 2)").steps() == [
        Step(Fraction(7), "-", Fraction(3), Fraction(4)),
        Step(Fraction(1), "/", Fraction(2), Fraction(1, 2)),
        Step(Fraction(4), "*", Fraction(-1, 2), Fraction(-2)),
    ]


def test_too_long_is_not_looked_at() -> None:
    with pytest.raises(TooLong):
        parse("1" * (MAX_LENGTH + 1))
    assert parse("1+" * 5_000 + "1", limit=20_000).value() == 5_001


def test_deep_nesting_within_a_raised_limit() -> None:
    assert parse("(" * 100_000 + "5" + ")" * 100_000, limit=300_000).value() == 5
    assert parse("-" * 100_001 + "5", limit=300_000).value() == -5


def test_a_number_of_many_digits_is_refused_before_it_is_converted() -> None:
    with pytest.raises(ExpressionError, match="digits"):
        parse("1 + " + "9" * 100_000, limit=300_000)


_LEAVES = st.integers(0, 99).map(str)
_EXPRESSIONS = st.recursive(
    _LEAVES,
    lambda parts: st.one_of(
        st.tuples(parts, st.sampled_from(["+", "-", "*", "/", " + ", " - ", "\n*", "/ "]), parts).map("".join),
        parts.map("({})".format),
        parts.map("-{}".format),
        parts.map("( {} )".format),
    ),
    max_leaves=12,
)


@given(_EXPRESSIONS)
@example("1--1")
def test_agrees_with_python_on_exact_numbers(text: str) -> None:
    """Python itself, with every number a Fraction, says what an expression is worth."""
    python = "".join(f"F({part})" if part.isdigit() else part for part in _split_digits(text.replace("\n", " ")))
    try:
        expected = eval(python, {"__builtins__": None, "F": Fraction}, {})  # noqa: S307 - made of our own grammar
    except ZeroDivisionError:
        with pytest.raises(DivisionByZero):
            evaluate(text)
        return
    assert evaluate(text) == expected
    assert parse(text).value() == expected


def _split_digits(text: str) -> list[str]:
    parts = [""]
    for char in text:
        if parts[-1].isdigit() != char.isdigit():
            parts.append("")
        parts[-1] += char
    return [part for part in parts if part]


@given(st.text(max_size=60) | st.text("0123456789+-*/() ._", max_size=60))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    error = None
    try:
        expression = parse(text)
    except ExpressionError as refused:
        error = refused
    if error is not None:
        assert 0 <= error.position <= len(text)
    else:
        assert expression.numbers
        assert set(text) <= set("0123456789+-*/() \t\n\r\f")


@given(_EXPRESSIONS)
def test_the_last_step_is_the_value(text: str) -> None:
    expression = parse(text)
    try:
        steps = expression.steps()
    except DivisionByZero:
        return
    if len(expression.numbers) > 1:
        assert abs(steps[-1].result) == abs(expression.value())
    assert len(steps) == len(expression.numbers) - 1
