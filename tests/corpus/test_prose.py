"""Wordings that show a behaviour in a document without numbers and target, and such as only look like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.behaviors.judges.prose.rules import prose_spans
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.corpus.classify.facts import facts_by_rules


@pytest.mark.parametrize(
    ("behavior", "text"),
    [
        ("verification", "Let us check this: 2 + 3 = 5."),
        ("verification", "We can verify that 3 is a root."),
        ("verification", "Substituting x = 3 back into the equation gives 0."),
        ("verification", "But 4 does not satisfy the second condition."),
        ("backtracking", "This approach fails."),
        ("backtracking", "Let's try something else."),
        ("backtracking", "Wait, that was too quick."),
        ("backtracking", "Let us try a different substitution."),
        ("subgoal", "First, we find the slope of the line."),
        ("subgoal", "It suffices to show that n is even."),
        ("subgoal", "Step 1: draw the heights."),
        ("backward_chaining", "We work backwards from the answer."),
        ("backward_chaining", "To obtain a sum of 12 we would need two sixes."),
        ("backward_chaining", "Starting from the end, undo each step."),
    ],
)
def test_a_sentence_that_shows_it(behavior: str, text: str) -> None:
    found = prose_spans(f"Here is some text. {text} And some more of it.")
    assert {name: [span.quote for span in spans] for name, spans in found.items() if spans} == {behavior: [text]}


@pytest.mark.parametrize(
    "text",
    [
        "The sum of two even numbers is even.",
        "A check for 30 dollars was cashed.",
        "Triangles with equal sides are called equilateral.",
        "Step by step guides are on the next page.",
        "The first chapter introduces groups.",
        "",
    ],
)
def test_a_sentence_that_does_not(text: str) -> None:
    assert not any(prose_spans(text).values())


def test_two_signs_in_one_sentence_are_one_instance() -> None:
    text = "Let us check and verify this. Let us check it once more."
    assert [span.quote for span in prose_spans(text)["verification"]] == text.replace(". ", ".\n").split("\n")


@given(st.text(max_size=400) | st.lists(st.sampled_from(["Let us check.", "\r\n", "wait!", " first we need to find ", "🙂", "\ud800"])).map("".join))  # fmt: skip  # noqa: E501
def test_spans_quote_the_text_in_order(text: str) -> None:
    found = prose_spans(text)
    assert set(found) == set(BEHAVIORS)
    for spans in found.values():
        places = [(span.start or 0, span.end or 0) for span in spans]
        assert places == sorted(places)
        assert all(text[span.start : span.end] == span.quote and span.quote.strip() for span in spans)


def test_facts() -> None:
    exercise = facts_by_rules("Find all primes p such that p divides 2p + 3 modulo 7.")
    assert (exercise.problem, exercise.solution, exercise.domain) == (True, False, "number_theory")
    article = facts_by_rules("The history of the town begins in the twelfth century.")
    assert (article.problem, article.solution, article.domain) == (False, False, "other")
    solved = facts_by_rules("Two circles have equal radius. Hence the area is the same.")
    assert (solved.problem, solved.solution, solved.domain) == (False, True, "geometry")
