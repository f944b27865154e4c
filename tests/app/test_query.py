"""The parts of a list's filter, and completion while it is typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogtui.app.shell.list_query import ListQuery, quote_value
from cogtui.app.traces.list.filter_completion import WordAtCursor, complete_word, find_word, list_candidates
from cogtui.store.filter.ast import FieldComparison
from cogtui.store.filter.lexer import FilterError
from cogtui.store.filter.parser import parse


def values(field: str, prefix: str) -> list[str]:
    known = {"condition": ["all_strategies", "none", "only backtracking"], "stage": ["ppo-1a2b"]}
    return [value for value in known.get(field, []) if value.startswith(prefix)]


def complete(text: str) -> tuple[str, list[str]]:
    word = find_word(text, len(text))
    found = list_candidates(word, values)
    return complete_word(text, len(text), word, found)[0], found


@pytest.mark.parametrize(
    ("typed", "after"),
    [
        ("cond", "condition:"),
        ("step>=3 (corr", "step>=3 (correct:"),
        ("ste", "step>="),
        ("condition:al", "condition:all_strategies"),
        ("condition:none,al", "condition:none,all_strategies"),
        ("condition:on", 'condition:"only backtracking"'),
        ('condition:"only b', 'condition:"only backtracking"'),
        ("correct:t", "correct:true"),
        ("has:una", "has:unaligned"),
        ("finish:l", "finish:length"),
        ("nonsense", "nonsense"),
        ("condition:x", "condition:x"),
    ],
)
def test_tab_completes_fields_and_values(typed: str, after: str) -> None:
    assert complete(typed)[0] == after


def test_several_candidates_are_completed_as_far_as_they_agree() -> None:
    text, found = complete("s")
    assert text == "s"
    assert {"stage:", "split:", "seed>=", "step>=", "subgoal>=", "sample>="} <= set(found)
    assert complete("veri")[0] == "verification>="


def test_only_the_word_at_the_cursor_changes() -> None:
    word = find_word("cond step>=3", 4)
    assert word == WordAtCursor(0, None, "cond")
    assert complete_word("cond step>=3", 4, word, ["condition:"]) == ("condition: step>=3", 10)


@given(st.text(max_size=30), st.data())
def test_completion_never_fails_and_keeps_what_is_around(text: str, data: st.DataObject) -> None:
    cursor = data.draw(st.integers(0, len(text)))
    word = find_word(text, cursor)
    after, place = complete_word(text, cursor, word, list_candidates(word, values))
    assert after.endswith(text[cursor:])
    assert after.startswith(text[: word.start])
    assert 0 <= place <= len(after)


@given(st.text(min_size=1, max_size=30))
def test_a_quoted_value_reads_back(value: str) -> None:
    term = parse(f"condition:{quote_value(value)}").term
    assert isinstance(term, FieldComparison)
    assert term.values == (value,)


def test_parts_are_put_together_so_that_an_or_stays_inside() -> None:
    query = ListQuery("stage:ppo-1", typed="correct:true OR step>3").with_quick("condition", "only backtracking")
    assert query.text == 'stage:ppo-1 condition:"only backtracking" (correct:true OR step>3)'
    assert query.query().filter.term is not None
    assert query.own_text == 'condition:"only backtracking" (correct:true OR step>3)'


def test_quick_filters_replace_each_other_and_are_cleared() -> None:
    query = ListQuery().with_quick("step", "3").with_quick("step", "4")
    assert query.text == "step:4"
    assert query.with_quick("step", None).text == ""
    assert query.value("step") == "4"


def test_a_wrong_filter_is_refused_with_the_place_in_what_was_typed() -> None:
    with pytest.raises(FilterError) as caught:
        ListQuery("stage:ppo-1", typed="condition:a stp>3").query()
    assert (caught.value.start, caught.value.end) == (12, 15)
