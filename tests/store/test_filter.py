"""The filter language: what it means, and where it points when it means nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogtui.store.filter.ast import (
    FIELDS,
    Conjunction,
    Disjunction,
    FieldComparison,
    HasFlag,
    NegatedTerm,
    SpanPattern,
    TextPhrase,
)
from cogtui.store.filter.lexer import FilterError
from cogtui.store.filter.parser import EVERYTHING, parse
from pipelines.errors import InvalidInput


def test_the_line_of_the_design() -> None:
    parsed = parse(
        'condition:all_strategies step>=100 correct:false backtracking>=2 reward<1 text:"try a different" '
        "has:unaligned verification->backtracking<80 problem:17 OR step=3"
    )
    assert parsed.term == Disjunction((
        Conjunction((
            FieldComparison("condition", ":", ("all_strategies",)),
            FieldComparison("step", ">=", (100,)),
            FieldComparison("correct", ":", (False,)),
            FieldComparison("backtracking", ">=", (2,)),
            FieldComparison("reward", "<", (1,)),
            TextPhrase("try a different", prefix=False),
            HasFlag("unaligned"),
            SpanPattern("verification", "backtracking", 80),
            FieldComparison("problem", ":", ("17",)),
        )),
        FieldComparison("step", "=", (3,)),
    ))  # fmt: skip


def test_and_binds_tighter_than_or_and_parentheses_tighter_than_both() -> None:
    assert parse("step:1 step:2 OR step:3").term == parse("(step:1 AND step:2) OR step:3").term
    either = Disjunction((FieldComparison("step", ":", (2,)), FieldComparison("step", ":", (3,))))
    assert parse("step:1 (step:2 OR step:3)").term == Conjunction((FieldComparison("step", ":", (1,)), either))
    assert parse("NOT step:1 step:2").term == Conjunction(
        (NegatedTerm(FieldComparison("step", ":", (1,))), FieldComparison("step", ":", (2,)))
    )
    assert parse("step!=1").term == NegatedTerm(FieldComparison("step", "=", (1,)))


def test_nothing_is_everything() -> None:
    assert parse("  ").term is None
    assert (EVERYTHING & parse("step:1")) == parse("step:1")
    assert (parse("step:1 OR step:2") & parse("seed:3")).term == parse("(step:1 OR step:2) seed:3").term


def test_quotes_escapes_lists_and_colons_in_values() -> None:
    assert parse(r'note:"a \"b\" \\ c"').term == FieldComparison("note", ":", ('a "b" \\ c',))
    assert parse("condition:a,b_*").term == FieldComparison("condition", ":", ("a", "b_*"))
    assert parse("judge:openai:gpt-4o").term == FieldComparison("judge", ":", ("openai:gpt-4o",))
    assert parse("judge:openai step:1").term == Conjunction(
        (FieldComparison("judge", ":", ("openai",)), FieldComparison("step", ":", (1,)))
    )
    assert parse("problem:3-7-25_46").term == FieldComparison("problem", ":", ("3-7-25_46",))
    assert parse("text:diff*").term == TextPhrase("diff", prefix=True)


@pytest.mark.parametrize(
    ("text", "mistake", "message", "remedy"),
    [
        ("step>=1 conditon:x", "conditon", "there is no field 'conditon'", "Did you mean condition?"),
        ("reward>x", "x", "'x' is not a number", ""),
        ("step:1_0", "1_0", "is not a number", ""),
        ("step:nan", "nan", "is not a number", ""),
        ("step:1e400", "1e400", "is not a number", ""),
        ("(step>1", "(", "never closed", "Add a )"),
        ("step>1)", ")", "never opened", ""),
        ('text:"abc', '"abc', "quote is not closed", 'Add a "'),
        ("correct:maybe", "maybe", "not one of the values", "true"),
        ("has:unalignd", "unalignd", "not one of the values", "Did you mean unaligned?"),
        ("verification->bactracking", "bactracking", "between two behaviours", "Did you mean backtracking?"),
        ("verification->backtracking>3", ">", "bounded with <", ""),
        ("verification->backtracking<many", "many", "number of characters", ""),
        ("try a different", "try", "no field 'try'", 'text:"try"'),
        ('"try a different"', '"try a different"', "needs a field", "text:"),
        ("condition<3", "<", "has no order", "condition:all_strategies"),
        ("step>", "step", "value of step is missing", "step>=2"),
        ("step", "step", "no field", ""),
        ('text:"+-*"', '"+-*"', "no word or number", "Only words"),
        ("OR", "OR", "field was expected", ""),
        ("step>1,2", ",", "one value", ""),
        ("()", ")", "nothing between", ""),
        ("step:1 AND", "", "term is missing", ""),
        ("step:1 %", "%", "no field '%'", ""),
    ],
)
def test_a_mistake_is_pointed_at(text: str, mistake: str, message: str, remedy: str) -> None:
    if text == "step":
        message = "step needs a value"
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    error = caught.value
    assert isinstance(error, FilterError)
    assert text[error.start : error.end] == mistake
    assert message in error.summary
    assert remedy in error.remedy
    shown, carets = error.detail.split("\n")
    assert shown == text
    assert carets == " " * error.start + "^" * (error.end - error.start)


def test_a_thousand_parentheses_are_refused_not_a_crash() -> None:
    with pytest.raises(FilterError, match="inside each other"):
        parse("(" * 5000 + "step:1" + ")" * 5000)
    with pytest.raises(FilterError, match="inside each other"):
        parse("NOT " * 5000 + "step:1")


def mistake_in(text: str) -> FilterError | None:
    try:
        parse(text)
    except FilterError as error:
        return error
    return None


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_a_mistake_inside_the_text(text: str) -> None:
    error = mistake_in(text)
    if error is not None:
        assert 0 <= error.start < error.end
        assert error.start <= len(text)
        assert error.detail.count("\n") == 1


PIECES = st.sampled_from(
    [*FIELDS, ":", "=", "<", ">=", "->", "verification", "backtracking", "(", ")", "OR", "AND", "NOT", ",", '"a b"',
     "12", "0.5", "true", "x*", " ", " "]
)  # fmt: skip


@given(st.lists(PIECES, max_size=14).map("".join))
def test_any_row_of_its_own_pieces_is_a_filter_or_a_mistake(text: str) -> None:
    error = mistake_in(text)
    assert error is None or error.message


def test_more_terms_than_sqlite_takes_are_refused_with_a_caret() -> None:
    with pytest.raises(FilterError, match="more than 400 terms"):
        parse(" OR ".join(f"step:{step}" for step in range(3000)))
