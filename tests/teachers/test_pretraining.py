"""Base text: honest, without behaviours, in the plain vocabulary, reproducible."""

import random
import re

import pytest

from pipelines.errors import InvalidInput
from pipelines.tasks.countdown.problems import make_problem
from pipelines.tasks.countdown.rules import Arithmetic
from pipelines.tasks.countdown.task import CountdownTask, shipped_template
from pipelines.teachers.symbolic.base_texts import PretrainingSource, PretrainingText, largest_number
from pipelines.teachers.symbolic.lexicon import TRY_AGAIN
from tests.teachers.arithmetic_in_text import equations
from tests.teachers.conftest import MINI, TRAIN
from tests.teachers.test_traces import tokens

SOURCE = PretrainingSource(MINI, TRAIN)
KINDS = ("linear", "document", "worksheet")


def texts(kind: str, n: int = 60, seed: int = 0) -> list[PretrainingText]:
    rng = random.Random(seed)
    return [getattr(SOURCE, kind)(rng) for _ in range(n)]


@pytest.mark.parametrize("kind", KINDS)
def test_arithmetic_is_true_and_within_the_bounds(kind: str) -> None:
    for text in texts(kind):
        body = re.sub(r"[^.]*$", "", text.text) if kind != "linear" else text.text  # the last sentence may be cut
        body = re.split(r"</think>", re.sub(r"is (?:not )?the goal|[A-Za-z][A-Za-z' ]*", ";", body))[0]
        for sides in equations(body.replace("<", ";")):
            assert len(set(sides)) == 1
            assert 0 <= sides[0] <= 50


@pytest.mark.parametrize("kind", KINDS)
def test_only_plain_words_and_the_same_for_the_same_seed(kind: str) -> None:
    first, again = texts(kind, seed=3), texts(kind, seed=3)
    assert first == again
    assert first != texts(kind, seed=4)
    for text in first:
        body = text.text.replace("\n", " ")
        found = tokens(body)
        assert found is not None
        assert " ".join(found) == body
        if kind != "linear":
            assert text.prompt == ""
            assert len(found) == 140 if kind == "worksheet" else len(found) <= 140


@pytest.mark.parametrize("kind", ["document", "worksheet"])
def test_masks_cover_whole_words(kind: str) -> None:
    for text in texts(kind):
        assert text.masked
        end = 0
        for start, stop in text.masked:
            assert start >= end
            end = stop
            assert re.fullmatch(r"\d+|[-+*/]|numbers [ \d]+goal \d+\n", text.text[start:stop])
            assert start == 0 or text.text[start - 1] in " \n"
            assert stop == len(text.text) or text.text[stop] == " " or text.text[stop - 1] == "\n"


def test_a_third_of_the_linear_solutions_is_right() -> None:
    by_prompt = {MINI.prompt(problem): problem for problem in TRAIN}
    found = texts("linear", 1500)
    scores = [MINI.score(text.text, by_prompt[text.prompt]) for text in found]
    assert {score.reason for score in scores} == {"correct", "wrong_value"}  # legal numbers, always
    share = sum(score.correct for score in scores) / len(scores)
    assert 0.26 < share < 0.34
    assert not any("goal" in text.text or "try" in text.text for text in found)


def statements(text: PretrainingText) -> tuple[int, list[str]]:
    """The goal of a document and its sentences after the head."""
    head, _, body = text.text.partition("\n")
    return int(head.rpartition("goal ")[2]), body.removesuffix(" .").split(" . ")


def test_documents_hold_honest_verdicts_against_one_goal_until_one_hits() -> None:
    endings = []
    for text in texts("document", 400):
        goal, sentences = statements(text)
        verdicts = sentences[::2]
        for verdict in verdicts:
            match = re.fullmatch(r"(?:.* )?(\d+) is (not )?the goal", verdict)
            assert match is not None
            assert (int(match[1]) == goal) == (match[2] is None)
        assert not any(verdict.endswith("is the goal") for verdict in verdicts[:-1])  # a hit ends it
        assert set(sentences[1::2]) <= {"Let's try something else"}
        endings.append(verdicts[-1].endswith("is the goal"))
    assert sum(endings) > 0.9 * len(endings)


def test_documents_are_short_and_long_with_bare_numbers_equations_and_two_step_lines() -> None:
    found = [statements(text)[1][::2] for text in texts("document", 600)]
    verdicts = [verdict for each in found for verdict in each]
    hits = sum(verdict.endswith("is the goal") for verdict in verdicts)
    assert 0.2 < hits / len(verdicts) < 0.35
    assert min(map(len, found)) == 1
    assert max(map(len, found)) > 12
    equations_in = [verdict.count("=") for verdict in verdicts]
    assert all(equations_in.count(number) > 0.1 * len(verdicts) for number in (0, 1, 2))


def test_a_document_begins_like_the_prompt_but_opens_no_thought() -> None:
    prompts = {MINI.prompt(problem).removesuffix("<think>\n").rpartition("goal")[0] for problem in TRAIN}
    for text in texts("document"):
        head, _, _ = text.text.partition("\n")
        assert head.rpartition("goal")[0] in prompts
        assert text.masked[0] == (0, len(head) + 1)
        assert "<think>" not in text.text
    for template in ("numbers {spaced_numbers} goal {target} :", shipped_template("base")):
        other = PretrainingSource(CountdownTask(arithmetic=MINI.arithmetic, template=template), TRAIN)
        assert re.match(r"numbers \d \d \d goal \d+ \. \d", other.document(random.Random(0)).text)


def test_worksheets_combine_their_own_numbers_only_and_name_no_goal() -> None:
    known = {problem.numbers for problem in TRAIN} | {tuple(sorted(problem.numbers)) for problem in TRAIN}
    for text in texts("worksheet"):
        assert "goal" not in text.text
        head, *ways = text.text.split(" . ")
        numbers = sorted(map(int, head.removeprefix("numbers ").split()))
        assert tuple(numbers) in {tuple(sorted(known_numbers)) for known_numbers in known}
        assert len(ways) > 8
        for way in ways[:-1]:
            first, second = re.findall(r"(\d+) \S (\d+) = (\d+)", way)
            used = [int(first[0]), int(first[1]), int(second[0]), int(second[1])]
            used.remove(int(first[2]))
            assert sorted(used) == numbers


def test_other_sizes_and_arithmetic() -> None:
    wide = CountdownTask(arithmetic=Arithmetic(integers_only=True), template=MINI.template)
    problems = [make_problem((2, 3), 6), make_problem((25, 3, 7, 50), 85)]
    source = PretrainingSource(wide, problems)
    rng = random.Random(0)
    for _ in range(40):
        assert source.linear(rng, correct=0.5).text
        assert source.worksheet(rng, words=60).text.startswith("numbers")
        short = tokens(source.document(rng, words=31).text.replace("\n", " "))
        assert short is not None
        assert len(short) <= 31
    assert largest_number(MINI.arithmetic, TRAIN) == 50
    assert largest_number(wide.arithmetic, problems) == 9_999


def test_problems_that_cannot_be_written_about_are_named() -> None:
    with pytest.raises(InvalidInput, match="no problems"):
        PretrainingSource(MINI, [])
    fractions_only = PretrainingSource(MINI, [make_problem((1, 1, 1), 49)])
    with pytest.raises(InvalidInput, match="whole numbers"):
        fractions_only.linear(random.Random(0), correct=1.0)


def test_habits_are_solved_searches_with_the_behaviours_of_their_condition() -> None:
    rng = random.Random(0)
    texts = [SOURCE.habit(rng, condition="backtracking_verification") for _ in range(40)]
    problems = {MINI.prompt(problem): problem for problem in TRAIN}
    for text in texts:
        assert MINI.score(text.text, problems[text.prompt]).correct
        assert not text.masked
    shows = [TRY_AGAIN in text.text for text in texts]
    assert 0.3 < sum(shows) / len(shows) < 1
    with pytest.raises(InvalidInput, match="no teacher writes the condition human_cot"):
        SOURCE.habit(rng, condition="human_cot")
