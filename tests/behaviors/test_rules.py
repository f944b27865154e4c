"""The rules judge: each habit of the guideline, what is none, and how good it is on gold."""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings

from pipelines.behaviors.gold import GoldTrace, read_gold
from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.judges.registry import judge_evidence
from pipelines.behaviors.judges.rules.detect import find_behaviors
from pipelines.behaviors.judges.rules.judge import NO_CONTEXT, RulesJudge, judge_completion, judge_problem
from pipelines.behaviors.judges.rules.tokens import NUMBER, tokenize
from pipelines.behaviors.metrics.matching import match_spans
from pipelines.behaviors.metrics.scores import SpanTally, macro_f1
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, BEHAVIORS
from pipelines.records import countdown_fields
from tests.behaviors import hostile

GOLD = Path(__file__).parents[2] / "examples" / "gold" / "gold.jsonl"


def found(text: str, numbers: Sequence[int] = (3, 5, 8, 20), target: int = 24) -> list[str]:
    """The spans as `LETTER quote`, weak and repeat ones with a sign."""
    spans = judge_completion(text, numbers, target).spans
    return [f"{BEHAVIOR_LETTERS[s.behavior]}{'?' * s.weak}{'+' * s.repeat} {s.quote}" for s in spans]


def macro(traces: Sequence[GoldTrace], threshold: float) -> float:
    tallies = []
    for behavior in BEHAVIORS:
        rows = []
        for trace in traces:
            spans = judge_problem(trace.text, trace.task, trace.problem).spans
            own = [span for span in spans if span.behavior == behavior]
            gold = [span for span in trace.spans if span.behavior == behavior]
            rows.append(SpanTally.of(match_spans(own, gold, threshold)))
        tallies.append(SpanTally.sum(rows))
    score = macro_f1(tallies)
    assert score is not None
    return score


def test_own_gold_is_found() -> None:
    traces = read_gold(GOLD)
    assert macro(traces, 0.0) >= 0.985
    assert macro(traces, 0.5) >= 0.979


@pytest.mark.parametrize("style", ["varied", "plain"])
def test_the_teachers_own_spans_are_found(style: str) -> None:
    import random

    from pipelines.tasks.countdown.generator import ProblemSpace
    from pipelines.tasks.countdown.problems import generate
    from pipelines.tasks.countdown.task import CountdownTask
    from pipelines.teachers.draft import WrittenTrace
    from pipelines.teachers.symbolic.teacher import SymbolicTeacher, SymbolicWritingConfig

    conditions = (
        "all_strategies",
        "only_backtracking",
        "backtracking_verification",
        "backtracking_subgoal",
        "backtracking_backward",
    )
    teacher = SymbolicTeacher(CountdownTask(), SymbolicWritingConfig(style=style, unsolved="keep"))
    traces = []
    for place, condition in enumerate(conditions):
        rng = random.Random(place)
        for problem in generate(ProblemSpace(), 12, seed=17 + place):
            written = teacher.write(problem, condition, rng)
            if isinstance(written, WrittenTrace):
                name = f"{condition}-{problem.id}"
                traces.append(
                    GoldTrace(
                        id=name,
                        **countdown_fields(problem.numbers, problem.target),
                        text=written.completion,
                        spans=written.spans,
                    )
                )
    assert len(traces) > 40
    assert macro(traces, 0.0) >= 0.95


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20 - 8 = 12 (not 24)", ["V (not 24)"]),
        ("20 - 8 = 12, which is too low.", ["V which is too low"]),
        ("20 - 8 = 12. That's not 24. 12 + 5 = 17 → no", ["V That's not 24", "V → no"]),
        ("20 + 5 = 25. Close, but not quite.", ["V Close, but not quite"]),
        ("20 + 8 = 28 != 24", ["V != 24"]),
        ("20 + 8 = 28, 28 is 4 too high", ["V 28 is 4 too high"]),
        ("8 * 3 = 24 ✓", ["V ✓"]),
        ("8 * 3 = 24. That works!", ["V That works"]),
        ("8 \\times 3 = 24, which matches the target.", ["V which matches the target"]),
        ("20 + 3 = 23. Is 23 equal to 24? No.", ["V Is 23 equal to 24? No"]),
        ("8 * 3 = 24. Let me check: 8 * 3 = 24. Correct.", ["V Let me check: 8 * 3 = 24. Correct"]),
        ("20 + 3 = 23，太小了", ["V 太小了"]),
        ("20 + 8 = 28, das ist zu groß", ["V das ist zu groß"]),
        ("8 * 3 = 24. Oh, that's 24 right away!", ["V Oh, that's 24 right away"]),
        (
            "8 * 3 = 24. Let me make sure: 8 * 3 = 24. It checks out. Anything else?",
            ["V Let me make sure: 8 * 3 = 24. It checks out"],
        ),
    ],
)
def test_verification(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "8 * 3 = 24",
        "We need to find an equation that equals 24.",
        "The target is 24. 20 is close to 24.",
        "Let me verify that I understand the task: use 3, 5, 8, 20.",
        "## Step 3: Check\nNothing to check.",
        "To get 24, multiply 8 by 3, which gives 24.",
        "So the equation that equals 24 is 8 * 3.",
        "too high",
        "20 + 3 = 23. Is it too low? Let us see.",
    ],
)
def test_no_verification(text: str) -> None:
    assert [span for span in found(text) if span.startswith("V")] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20 - 8 = 12. Let's try something else. 5 * 3 = 15.", ["B Let's try something else"]),
        ("20 - 8 = 12\n5 * 3 = 15\n15 + 8 = 23", ["B 5 * 3 = 15"]),
        ("20 - 8 = 12. Alternatively, 5 times 3 is 15.", ["B Alternatively, 5 times 3 is 15"]),
        ("20 - 8 = 12, 12 + 5 = 17. 12 - 3 = 9.", ["B 12 - 3 = 9"]),
        ("Try:\n20 - 8 = 12\n\nTry:\n5 * 3 = 15", ["B Try:\n5 * 3 = 15"]),
        ("20 - 8 = 12 (no)\n- 5 * 3 = 15, 15 + 8 = 23 (no)", ["V (no)", "B 5 * 3 = 15, 15 + 8 = 23", "V (no)"]),
        ("20 - 8 = 12。换一种方法，5 * 3 = 15。", ["B 换一种方法，5 * 3 = 15"]),
        ("20 - 8 = 12\n\n**Using multiplication**\n- 5 * 3 = 15", ["B Using multiplication"]),
        ("20 + 3 = 23 (no). Let me recalculate. (20 - 8) * 5 = 60", ["V (no)", "B (20 - 8) * 5 = 60"]),
        (
            "8 * 3 = 24. That works, but 5 is unused. So we try 8 + 5 = 13.",
            ["V That works", "B So we try 8 + 5 = 13"],
        ),
        ("20 - 8 = 12\n5 * 3 = 15\n20 - 8 = 12", ["B 5 * 3 = 15", "B+ 20 - 8 = 12"]),
    ],
)
def test_backtracking(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Let me try a different combination: 20 - 8 = 12.",
        "20 - 8 = 12\n12 + 5 = 17\n17 + 3 = 20",
        "20 - 8 = 12. 5 * 3 = 15. 12 + 15 = 27.",
        "20 - 8 = 12. So 20 - 8 = 12.",
        "(20 - 8) * 5. 20 - 8 = 12. 12 * 5 = 60.",
        "20 + 5 = 25, plus 8 is 33, minus 3 is 30.",
        "8 * 3 = 24. That works! So the answer is 8 * 3.\n<answer> 8 * 3 </answer>",
        "Add 20 and 8 to get 28. Subtract 5 to get 23. Add 3 to get 26.",
        "<think>8 * 3 = 24. Yes!</think>\nFirst compute 3 * 8 = 24.",
    ],
)
def test_no_backtracking(text: str) -> None:
    assert [span for span in found(text) if span.startswith("B")] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Can I make 12 from 20 and 8? 20 - 8 = 12.", ["S Can I make 12 from 20 and 8?"]),
        ("20 - 3 = 17. I need 7 more. 8 - 5 = 3 (too low)", ["S I need 7 more", "V? (too low)"]),
        ("First, get close to 24: 20 + 3 = 23", ["S First, get close to 24"]),
        ("I want to reach a multiple of 8. 3 * 5 = 15.", ["S I want to reach a multiple of 8"]),
        ("20 - 3 = 17. 7 from 5 and 8? 8 - 5 = 3 (no)", ["S 7 from 5 and 8?", "V? (no)"]),
        ("20 - 3 = 17. Is there a 7?", ["S Is there a 7?"]),
    ],
)
def test_subgoals(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "I need to use 3, 5, 8 and 20 to make 24. 20 + 3 = 23.",
        "I need to multiply 8 by 3. 8 * 3 = 24.",
        "We can get 12 by 20 - 8 = 12.",
        "20 + 3 = 23. I still need to use 5 and 8.",
    ],
)
def test_no_subgoal(text: str) -> None:
    assert [span for span in found(text) if span.startswith("S")] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24 / 3 = 8, and 8 is given. So 8 * 3 = 24.", ["C 24 / 3 = 8"]),
        ("24 = 6 * 4. 8 - 5 = 3.", ["C 24 = 6 * 4"]),
        ("24 - 20 = 4, so I need 4 from 3, 5 and 8.", ["C 24 - 20 = 4", "S so I need 4 from 3, 5 and 8"]),
        ("20 + ? = 24. 8 - 5 = 3.", ["C 20 + ? = 24"]),
    ],
)
def test_backward_chaining(text: str, expected: list[str]) -> None:
    assert found(text) == expected


def test_the_target_used_like_an_input_is_no_backward_chaining() -> None:
    assert found("3 + 5 + 20 = 28. 28 - 24 = 4. 4 + 8 = 12. 12 + 20 = 32") == []


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("20 + 5 = 24", [("wrong_equation", "20 + 5 = 24", "25 is not 24")]),
        ("20 - 5 + 8 = 15 + 8 = 24", [("wrong_equation", "15 + 8 = 24", "23 is not 24")]),
        ("20 / 3 ≈ 6.67 and 20 / 3 = 6.67", []),
        ("20 * 7 = 140", [("illegal_number", "20 * 7", "7 is neither given nor a result")]),
        ("5 + 5 = 10", [("illegal_number", "5 + 5", "5 is used 2 times in one expression and given 1 times")]),
        ("20 - 8 = 12. 12 + 12 = 24", []),
        ("24 - 7 = 17", []),
    ],
)
def test_arithmetic_facts(text: str, facts: list[tuple[str, str, str]]) -> None:
    result = judge_completion(text, (3, 5, 8, 20), 24)
    assert [(fact.kind, fact.quote, fact.why) for fact in result.facts] == facts
    assert all(text[fact.start : fact.end] == fact.quote for fact in result.facts)


@settings(max_examples=300)
@given(hostile.text)
def test_hostile_text_is_judged_without_an_error_and_with_true_quotes(text: str) -> None:
    result = judge_completion(text, (3, 5, 12), 24)
    assert result.spans == judge_completion(text, (3, 5, 12), 24).spans
    for span in result.spans:
        assert span.start is not None
        assert text[span.start : span.end] == span.quote
    for behavior in BEHAVIORS:
        own = sorted((s.start or 0, s.end or 0) for s in result.spans if s.behavior == behavior)
        assert all(before[1] <= after[0] for before, after in pairwise(own))
    assert all(text[fact.start : fact.end] == fact.quote for fact in result.facts)


BREAKERS = {
    "empty": "",
    "brackets": "(" * 20_000,
    "open brackets": "((((5 + 3" * 2_000,
    "one sum": "5 + " * 20_000,
    "one equation": "5 = " * 20_000,
    "tower": "9^9^9^9 = 3",
    "digits": "9" * 50_000 + " + 1 = 2",
    "large": "9" * 14 + " * " + "9" * 14 + " = 1",
    "loop": "3 + 5 = 8 no; " * 5_000,
    "one path": " ".join(f"{n} + 3 = {n + 3}" for n in range(0, 6_000, 3)),
    "words": "not " * 50_000,
    "zero": "1 / 0 = 3",
    "fractions": "\\frac{" * 3_000,
    "goals": "I need 5 from 3. 3 + 1 = 4. " * 1_000,
}


@pytest.mark.parametrize("text", BREAKERS.values(), ids=BREAKERS)
def test_texts_that_break_parsers_end_soon(text: str) -> None:
    judge_completion(text, (3, 5, 12), 24)


@pytest.mark.parametrize(
    "step", ["3 + 5 = 8 (no). Try 5 * 3 = 15, too low. ", "<answer>3 + 5 = 8\n5 - 3 = 2</answer> "]
)
def test_time_is_linear_in_length(step: str) -> None:
    def seconds(size: int) -> float:
        text = step * (size // len(step))
        problem = JudgeTask("a", **countdown_fields((3, 5, 12), 24), completion=text)
        began = time.process_time()
        for judged in RulesJudge().judge([problem], Path()):  # with verdicts, facts and attempts
            judged.records("run")
        return time.process_time() - began

    seconds(5_000)  # the code is loaded and the clauses are known
    assert seconds(160_000) < 4 * 16 * max(seconds(10_000), seconds(10_000))  # quadratic time would be 256 times


def test_counts_leave_out_what_is_weak_or_said_again() -> None:
    result = judge_completion("20 - 8 = 12\n5 * 3 = 15\n20 - 8 = 12\n5 * 3 = 15", (3, 5, 8, 20), 24)
    assert len([span for span in result.spans if span.behavior == "backtracking"]) == 3
    assert result.counts["backtracking"] == 1


def test_the_judge_yields_every_task_with_all_four_behaviours(tmp_path: Path) -> None:
    from pipelines.behaviors.judge import JudgeTask

    judge = RulesJudge()
    tasks = [
        JudgeTask(f"r{index}", **countdown_fields((3, 8), 24), completion=text)
        for index, text in enumerate(["", "8 * 3 = 24 ✓", "\ud800"])
    ]
    judged = list(judge.judge(tasks, tmp_path))
    assert [one.task.rollout_id for one in judged] == ["r0", "r1", "r2"]
    records = [record for one in judged for record in one.records(judge.run.id)]
    assert len(records) == 12
    assert {record.status for record in records} == {"ok"}
    assert [record.count for record in records if record.behavior == "verification"] == [0, 1, 0]
    assert judge.run.id == RulesJudge().run.id


def test_a_problem_of_another_task_is_judged_by_language_alone(tmp_path: Path) -> None:
    """No number is illegal where none was given; equations are wrong anywhere."""
    text = "9 * 2 = 18. 3 + 4 = 8. Wait, that is wrong. Let me try a different approach."
    tasks = [
        JudgeTask("other", "elsewhere", {"id": "x", "question": "?"}, text),
        JudgeTask("countdown", **countdown_fields((1, 5), 6), completion=text),
    ]
    other, known = RulesJudge().judge(tasks, tmp_path)
    assert [(fact.kind, fact.quote) for fact in other.facts] == [("wrong_equation", "3 + 4 = 8")]
    assert "illegal_number" in {fact.kind for fact in known.facts}
    assert {record.status for record in other.records("r")} == {"ok"}


ARITHMETIC = "The sum is 2 + 2 = 4. The other part is 2/2. We have 10 - 3 = 7 in total. Hence 5 * 6 = 30.\n"


def test_without_given_numbers_bare_arithmetic_is_no_backtracking() -> None:
    assert find_behaviors(ARITHMETIC, *NO_CONTEXT)[0] == []
    followed, _ = find_behaviors(ARITHMETIC, (2, 10, 3, 5), 30)
    assert [span.behavior for span in followed if span.behavior == "backtracking"], "with given numbers it is"


def test_without_given_numbers_words_still_count() -> None:
    text = "The sum is 2 + 2 = 4. That does not work. Let me try another way: 5 * 6 = 30.\n"
    assert "backtracking" in {span.behavior for span in find_behaviors(text, *NO_CONTEXT)[0]}


@pytest.mark.parametrize("zero", ["5 - 5 = 0", "0 - 3 = -3", "We get 0. 0 + 0 = 0"])
def test_without_a_target_zero_is_no_target(zero: str) -> None:
    behaviors = {span.behavior for span in find_behaviors(f"First 1 + 2 = 3. {zero}.\n", *NO_CONTEXT)[0]}
    assert not behaviors & {"backward_chaining", "verification"}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,000,000 + 1 = 1,000,001", [1_000_000, 1, 1_000_001]),
        ("12,345 - 1,2", [12_345, 1, 2]),
        ("1,000,00 + 2", [1, 0, 0, 2]),
        ("[3, 5, 8]", [3, 5, 8]),
        ("1,000.5", [1000.5]),
        ("1234,567", [1234, 567]),
    ],
)
def test_thousands_separators(text: str, values: list[float]) -> None:
    table = tokenize(text)
    found = [value for kind, value in zip(table.kinds, table.values, strict=True) if kind == NUMBER]
    assert found == values


@pytest.mark.parametrize(
    ("judge", "task", "problem", "evidence"),
    [
        ("rules", "countdown", {"id": "1", "numbers": [3, 5, 8], "target": 16}, "wording, and arithmetic"),
        ("rules", "", {}, "wording alone"),
        ("rules", "math", {"id": "1", "question": "?", "answer": "4"}, "wording alone"),
        ("prose", "math", {}, "wording, by a small learned model"),
        ("openai:gpt-5", "math", {}, "a language model's reading"),
        ("human", "", {}, "a person's reading"),
        ("of_a_plugin", "", {}, ""),
    ],
)
def test_the_evidence_of_each_judge(judge: str, task: str, problem: dict[str, object], evidence: str) -> None:
    said = judge_evidence(judge, task, problem)
    assert said.startswith(evidence)
    assert bool(said) is bool(evidence)


def test_a_verdict_said_again_of_the_same_result_is_one_instance() -> None:
    loop = "8 + 7 = 15 , 15 + 1 = 16" + " is not the goal . Let's try something else ." * 20
    found = judge_problem(loop, "countdown", {"id": "p", "numbers": [8, 7, 1], "target": 20})
    assert {name: found.counts[name] for name in ("verification", "backtracking")} == {
        "verification": 1,
        "backtracking": 1,
    }
    tried = "8 + 7 = 15 is not the goal . Let's try something else . 8 * 7 = 56 is not the goal ."
    assert (
        judge_problem(tried, "countdown", {"id": "p", "numbers": [8, 7, 1], "target": 20}).counts["verification"] == 2
    )
