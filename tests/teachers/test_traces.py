"""What every trace of the symbolic teacher keeps to: exact spans, its condition, honest arithmetic and verdicts."""

import random
import re
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Behavior
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import CountdownTask
from pipelines.teachers.conditions import CONDITIONS
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.symbolic import wording
from pipelines.teachers.symbolic.lexicon import STYLES, phrases
from pipelines.teachers.symbolic.teacher import SymbolicTeacher, SymbolicWritingConfig
from tests.teachers.arithmetic_in_text import equations, last_result, plain_ascii
from tests.teachers.conftest import LARGE, MINI, PAPER, TRAIN

WRITTEN = [name for name, condition in CONDITIONS.items() if condition.origin == "written"]
TEACHERS = {
    (style, task): SymbolicTeacher(MINI if task == "mini" else PAPER, SymbolicWritingConfig(style=style))
    for style in STYLES
    for task in ("mini", "paper")
}

seeds = st.integers(0, 2**32)
any_case = given(
    style=st.sampled_from(STYLES),
    where=st.sampled_from([("mini", problem) for problem in TRAIN] + [("paper", problem) for problem in LARGE]),
    condition=st.sampled_from(WRITTEN),
    seed=seeds,
    wrong=st.booleans(),
)


def written(style: str, where: tuple[str, Problem], condition: str, seed: int, wrong: bool = False) -> WrittenTrace:
    task, problem = where
    teacher = TEACHERS[style, task]
    result = teacher.write(problem, condition, random.Random(seed), illegal_line=wrong)
    assume(isinstance(result, WrittenTrace))  # too few traces make hypothesis fail, so nothing passes for want of them
    assert isinstance(result, WrittenTrace)
    return result


def counts(trace: WrittenTrace) -> Counter[Behavior]:
    return Counter(span.behavior for span in trace.spans if not span.weak)


@any_case
@settings(max_examples=150, deadline=None)
def test_spans_quote_the_text_and_never_overlap_within_a_behaviour(
    style: str, where: tuple[str, Problem], condition: str, seed: int, wrong: bool
) -> None:
    trace = written(style, where, condition, seed, wrong)
    for behavior in BEHAVIORS:
        end = 0
        for span in trace.spans:
            assert span.start is not None
            assert span.end is not None
            assert trace.completion[span.start : span.end] == span.quote
            assert span.quote == span.quote.strip()
            if span.behavior == behavior:
                assert span.start >= end
                end = span.end


@any_case
@settings(max_examples=150, deadline=None)
def test_a_condition_shows_its_behaviours_and_no_others(
    style: str, where: tuple[str, Problem], condition: str, seed: int, wrong: bool
) -> None:
    trace = written(style, where, condition, seed, wrong)
    failed = trace.meta["failed_attempts"]
    assert CONDITIONS[condition].unwanted(trace.spans) == set()
    assert CONDITIONS[condition].missing(trace.spans, failed) == set()
    if "backtracking" in CONDITIONS[condition].behaviors:
        assert counts(trace)["backtracking"] == failed  # each attempt but the first, once
    if condition == "backtracking_verification":
        checked = re.findall(r"verify|check|make sure", trace.completion, re.IGNORECASE)
        assert counts(trace)["verification"] == failed + 1 + len(checked)


@any_case
@settings(max_examples=150, deadline=None)
def test_arithmetic_is_honest_and_the_answer_scores_as_it_should(
    style: str, where: tuple[str, Problem], condition: str, seed: int, wrong: bool
) -> None:
    trace = written(style, where, condition, seed, wrong)
    found = list(equations(trace.completion))
    assert found
    for sides in found:
        assert len(set(sides)) == 1
    task, problem = where
    score = TEACHERS[style, task].task.score(trace.completion, problem)
    if wrong:
        assert not score.correct
        assert score.reason == "wrong_numbers"
        assert score.value == problem.target
    else:
        assert score.correct


_HIGH = re.compile(r"high|big|large|too much|over|above|greater|too many")
_LOW = re.compile(r"low|small|little|below|short|under|less|too few")
_SLOT = {"{target}": r"\d+", "{value}": r"-?\d+", "{running}": ".+"}


def _pattern(text: str) -> str:
    """The marked piece of a wording as a pattern, its slots open."""
    piece = re.escape(plain_ascii(re.split("[«»]", text)[1]))
    for slot, pattern in _SLOT.items():
        piece = piece.replace(re.escape(slot), pattern)
    return piece


_YES = re.compile(
    "|".join(_pattern(text) for table in (wording.HITS, wording.HIT_SENTENCES, wording.CHECKS) for text in table),
    re.IGNORECASE,
)


@given(style=st.sampled_from(STYLES), problem=st.sampled_from(TRAIN), seed=seeds)
@settings(max_examples=120, deadline=None)
def test_verdicts_are_true(style: str, problem: Problem, seed: int) -> None:
    trace = written(style, ("mini", problem), "backtracking_verification", seed)
    for span in trace.spans:
        if span.behavior != "verification":
            continue
        quote = plain_ascii(span.quote).lower()
        value = last_result(trace.completion[: span.start])
        positive = quote == "is the goal" if style == "plain" else _YES.fullmatch(quote) is not None
        assert positive == (value == problem.target), (span.quote, value)
        if not positive and style == "varied":
            if _HIGH.search(quote):
                assert value > problem.target
            if _LOW.search(quote):
                assert value < problem.target


@given(problem=st.sampled_from(TRAIN), condition=st.sampled_from(WRITTEN), seed=seeds)
@settings(max_examples=150, deadline=None)
def test_plain_text_is_phrases_and_numbers_with_one_space_between(problem: Problem, condition: str, seed: int) -> None:
    trace = written("plain", ("mini", problem), condition, seed)
    prompt = MINI.prompt(problem).replace("\n", " ")
    assert tokens(prompt.strip()) is not None
    found = tokens(trace.completion)
    assert found is not None
    assert " ".join(found) == trace.completion
    assert len(found) == trace.meta["words"]


def tokens(text: str) -> list[str] | None:
    """The text as phrases of the plain style and numbers, longest first; None where something else is in it."""
    vocabulary = sorted(map(re.escape, phrases("plain")), key=len, reverse=True)
    token = re.compile(rf"(?:{'|'.join(vocabulary)}|\d+)(?: |$)")
    found, at = [], 0
    while at < len(text):
        match = token.match(text, at)
        if match is None:
            return None
        found.append(match[0].rstrip(" "))
        at = match.end()
    return found


def test_an_attempt_with_its_verdict_and_marker_is_thirteen_tokens() -> None:
    attempt = "5 - 3 = 2 , 2 * 7 = 14 is not the goal . Let's try something else ."
    found = tokens(attempt)
    assert found is not None
    assert len(found) == 13


@given(problem=st.sampled_from(TRAIN), condition=st.sampled_from(WRITTEN), seed=seeds)
@settings(max_examples=150, deadline=None)
def test_varied_text_has_no_word_that_is_not_in_its_phrases(problem: Problem, condition: str, seed: int) -> None:
    trace = written("varied", ("mini", problem), condition, seed)
    known = set(re.findall(r"[a-z']+", " ".join(phrases("varied")).lower()))
    assert set(re.findall(r"[a-z']+", trace.completion.lower())) <= known


@pytest.mark.parametrize("condition", WRITTEN)
def test_varied_traces_vary(condition: str) -> None:
    teacher = TEACHERS["varied", "mini"]
    drawn = [teacher.write(TRAIN[0], condition, random.Random(seed)) for seed in range(60)]
    texts = [trace for trace in drawn if isinstance(trace, WrittenTrace)]
    assert len(texts) > 50
    found = [trace.completion for trace in texts]
    assert len(set(found)) > 0.9 * len(found)
    layouts = {trace.meta["layout"] for trace in texts}
    assert layouts == {"prose", "lines", "items", "terse"}
    assert any("×" in text for text in found)
    assert any("×" not in text for text in found)


@pytest.mark.parametrize("style", STYLES)
def test_the_completion_begins_right_where_the_prompt_ends(style: str) -> None:
    open_ended = CountdownTask(arithmetic=MINI.arithmetic, template="numbers {spaced_numbers} goal {target} :")
    for task, lead in ((MINI, False), (open_ended, True)):
        trace = SymbolicTeacher(task, SymbolicWritingConfig(style=style)).write(
            TRAIN[0], "negative_control", random.Random(1)
        )
        assert isinstance(trace, WrittenTrace)
        assert trace.completion.startswith(" ") == lead
        assert not trace.completion.startswith("  ")
        assert ("</think>" in trace.completion) == task.opens_thought
        assert trace.completion.endswith("</answer>")
