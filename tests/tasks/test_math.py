"""The task `math`: answers are found, read exactly, compared by math-verify, and never evaluated."""

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.stages import stage_kind
from pipelines.tasks import latex_equality
from pipelines.tasks.answers import final_answer, parse_number
from pipelines.tasks.latex_equality import LatexComparer, is_equal
from pipelines.tasks.loading import load_problems
from pipelines.tasks.math import MathTask, gold_answer
from pipelines.tasks.registry import TASKS
from tests.commands import cogtui_here

TASK = MathTask()


def score(gold: str, answer: str) -> tuple[float, str]:
    found = TASK.score(f"So the result is \\boxed{{{answer}}}.", {"id": "1", "question": "?", "answer": gold})
    return found.reward, found.reason


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (r"first \boxed{3}, no: \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        ("<answer>7</answer> or <answer> 8 </answer>", "8"),
        ("3 + 4 = <<3+4=7>>7\n#### 7", "7"),
        (r"\boxed{3} but #### 4", "4"),
        ("The answer is **18**.", "18"),
        ("Answer: 5 apples", "5 apples"),
        (r"<think>\boxed{1}</think> It is \boxed{2}", "2"),
        (r"<think>\boxed{1}</think> I do not know", None),
        (r"\boxed{2} then \boxed{3", "2"),
        ("answers vary", None),
        ("it is 5", None),
        (r"\boxed{}", None),
        ("", None),
    ],
)
def test_the_final_answer(completion: str, answer: str | None) -> None:
    assert final_answer(completion) == answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,000,000", Fraction(1_000_000)),
        ("$18.50", Fraction(37, 2)),
        ("-3/4", Fraction(-3, 4)),
        (r"\dfrac{3}{4}", Fraction(3, 4)),
        (r"-\frac12", Fraction(-1, 2)),
        ("50\\%", Fraction(50)),
        ("18 dollars per day", Fraction(18)),
        (r"12\text{ cm}", Fraction(12)),
        (r"90^\circ", Fraction(90)),
        ("5 million", None),
        ("5x", None),
        ("1,00", None),
        ("2^3", None),
        ("1/0", None),
        ("5 or 6", None),
        ("1e5", None),
        ("9" * 200, None),
        ("", None),
    ],
)
def test_numbers_are_read_exactly_or_not_at_all(text: str, value: Fraction | None) -> None:
    assert parse_number(text) == value


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_every_fraction_is_read_back(top: int, bottom: int) -> None:
    assert parse_number(f"{top:,}") == top
    assert parse_number(f"{top}/{bottom}") == Fraction(top, bottom)


@given(st.text(max_size=200))
def test_no_text_is_an_error(text: str) -> None:
    final_answer(text)
    parse_number(text)
    gold_answer(text)


@pytest.mark.parametrize(
    ("gold", "answer", "reward"),
    [
        ("72", "72.0", 1.0),
        ("72", "73", 0.0),
        (r"\frac{1}{2}", "0.5", 1.0),
        (r"x^2-1", r"(x-1)(x+1)", 1.0),
        (r"\{1,2\}", r"\{2,1\}", 1.0),
        (r"(-\infty,2]", r"(-\infty, 2]", 1.0),
        (r"(-\infty,2]", r"(-\infty, 2)", 0.0),
        ("4", "2^2", 1.0),
        ("4", r"\sqrt{16}", 1.0),
        (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}", 1.0),
        (r"\text{Friday}", "friday", 1.0),
        (r"\pi", "3.14", 0.0),
        (r"y=2x+3", "y = 3 + 2x", 1.0),
    ],
)
def test_equal_answers_count_however_they_are_written(gold: str, answer: str, reward: float) -> None:
    assert score(gold, answer)[0] == reward


def hostile(mark: Path) -> list[str]:
    call = f"__import__('os').system('touch {mark}')"
    return [
        call,
        rf"\text{{{call}}}",
        rf"\operatorname{{{call}}}",
        f"1 + {call}",
        f"eval({call})",
        f"().__class__.__base__.__subclasses__() {call}",
        rf"\begin{{pmatrix}}{call}\end{{pmatrix}}",
        rf"\frac{{{call}}}{{2}}",
        f"'+{call}+'",
        "{1,2}\x00",
        "\\" * 200,
        "$$",
        "(" * 100 + ")" * 100,
        "\u202e1",
        "\ud800",
    ]


def test_nothing_in_an_answer_is_evaluated(tmp_path: Path) -> None:
    mark = tmp_path / "evaluated"
    for answer in hostile(mark):
        for gold in ("7", r"\sqrt{2}"):
            assert score(gold, answer)[0] == 0.0, answer
            completion = f"The answer is {answer}"
            assert TASK.score(completion, {"answer": gold}).reward == 0.0
    assert not mark.exists()


def worker(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "statement",
    [
        "eval('1+1')",
        "exec('x = 1')",
        "compile('1', '<string>', 'eval')",
        "import os; os.system('true')",
        "import subprocess; subprocess.run(['true'])",
        "open('evaluated', 'w')",
        "import socket; socket.socket()",
        "import sympy; sympy.sympify('1+1')",
    ],
)
def test_the_process_that_compares_refuses_to_evaluate(statement: str) -> None:
    """The last line of defence: also if a new version of sympy evaluated text somewhere."""
    done = worker(
        "import sys, sympy\nfrom pipelines.tasks import latex_worker\nsys.addaudithook(latex_worker._deny)\n"
        f"try:\n    {statement}\nexcept BaseException as error:\n    print(type(error).__name__, error)\n"
    )
    assert "PermissionError refused" in done.stdout or "SympifyError" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["9^{9^{9^{9}}}", "(10^{8})!", r"\sum_{i=1}^{10^{9}} \frac{1}{i!}"])
def test_an_answer_that_takes_too_long_is_unreadable_and_the_next_is_compared(answer: str) -> None:
    assert score("7", answer) == (0.0, "unreadable")
    assert score("8", "2^3") == (1.0, "correct")


def test_long_answers_are_not_parsed() -> None:
    assert score("7", "x+" * 200 + "1") == (0.0, "too_long")
    assert LatexComparer().equal("7", "x" * 301) is None


def test_the_process_starts_again_after_it_was_killed() -> None:
    comparer = LatexComparer()
    assert comparer.equal("8", "2^3") is True
    process = comparer._process
    assert process is not None
    process.kill()
    process.wait()
    comparer.equal("8", "2^3")
    assert comparer.equal("9", "3^2") is True
    comparer.close()


def test_without_the_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert score("72", "72") == (1.0, "correct"), "numbers need no library"
    with pytest.raises(MissingRequirement, match="math-verify"):
        LatexComparer().equal("x", "y")


def gsm8k(path: Path, rows: int = 12) -> None:
    """Rows like those of GSM8K, of our own making."""
    lines = [
        {
            "question": f"Tom has {n} bags of 3 pears. How many?",
            "answer": f"3*{n}=<<3*{n}={3 * n}>>\n#### {3 * n}",
        }
        for n in range(1, rows + 1)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def config(**fields: object) -> dict[str, object]:
    return {"task": "math", "train": 8, "test": 4, "task_config": fields}


def test_the_problems_stage_reads_rows_like_gsm8k(tmp_path: Path) -> None:
    gsm8k(tmp_path / "gsm.jsonl")
    folder = prepare("problems", config(file="gsm.jsonl"), tmp_path / "out", [], base=tmp_path)
    assert run_stage(folder)["task"] == "math"
    loaded = load_problems(StageFolder(tmp_path / "out"))
    assert (len(loaded.train), len(loaded.test)) == (8, 4)
    assert not {problem["question"] for problem in loaded.train} & {problem["question"] for problem in loaded.test}
    for problem in loaded.test:
        assert loaded.task.prompt(problem).startswith(problem["question"] + "\n")
        assert loaded.task.score(f"\\boxed{{{problem['answer']}}}", problem).correct
        assert "####" in str(TASK.solve(problem))


def test_rows_like_those_of_math_in_parquet_with_a_prompt_of_their_own(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"problem": f"What is {n}/7?", "solution": f"It is $\\boxed{{\\frac{{{n}}}{{7}}}}$.", "level": "1"}
        for n in range(12)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "math.parquet")
    fields = config(file="math.parquet", prompt="Q: {question}\nA:")
    loaded_folder = prepare("problems", fields, tmp_path / "out", [], base=tmp_path)
    run_stage(loaded_folder)
    loaded = load_problems(StageFolder(tmp_path / "out"))
    problem = loaded.test[0]
    assert problem["answer"].startswith("\\frac{")
    assert loaded.task.prompt(problem) == f"Q: {problem['question']}\nA:"
    assert problem["solution"].startswith("It is")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"question": "a", "answer": null}'], "line 1: no answer in"),
        (['{"question": "a", "answer": "1"}', '{"q": 1}'], "line 2: no question in"),
        (['{"question": "a", "answer": true}'], "line 1: the answer in answer is True, neither text nor a number"),
        (['{"question": "a", "answer": 1}', "{"], "line 2: not valid JSON"),
        (['{"question": "a", "answer": 1}'] * 20, "there are 0 problems for train, not 8"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_line(tmp_path: Path, lines: list[str], message: str) -> None:
    (tmp_path / "bad.jsonl").write_text("\n".join(lines))
    folder = prepare("problems", config(file="bad.jsonl") | {"test": 1}, tmp_path / "out", [], base=tmp_path)
    with pytest.raises(InvalidInput) as caught:
        run_stage(folder)
    assert message in str(caught.value)


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    gsm8k(tmp_path / "gsm.jsonl")
    model = stage_kind("problems").config_model()
    for fields, words in (
        ({}, "file: Field required"),
        ({"file": "none.jsonl"}, "no such file"),
        ({"file": "gsm.jsonl", "prompt": "no place"}, "{question} is missing"),
        ({"file": "gsm.jsonl", "prompt": "{question} {x}"}, "only {question} may stand in braces"),
    ):
        with pytest.raises(ValueError, match="task_config of math") as caught:
            model.model_validate(config(**fields), context={"base": tmp_path})
        assert words in str(caught.value)


def test_rows_of_other_programs_are_recognised_only_when_they_ask_for_a_final_answer() -> None:
    prompt = "What is 3*4? Put your final answer within \\boxed{}."
    assert TASK.recognise({"prompt": prompt, "ground_truth": "12"}) == {"question": prompt, "answer": "12"}
    assert TASK.recognise({"prompt": prompt}) is None
    assert TASK.recognise({"prompt": "Write a poem", "ground_truth": "12"}) is None
    assert TASK.recognise({"prompt": prompt, "ground_truth": True}) is None
    assert TASKS.get("math").name == "math"


def test_equal_questions_are_asked_once() -> None:
    is_equal.cache_clear()
    assert is_equal("8", "2^3") is True
    assert is_equal("8", "2^3") is True
    assert is_equal.cache_info().hits == 1
    assert os.getpid() == latex_equality._COMPARER._owner


def _default_judge(chosen: str, folder: Path) -> str:
    planned = cogtui_here("judge", chosen, "--dry-run", "--json", folder=folder)
    assert planned.returncode == 0, planned.stderr
    return str(json.loads(planned.stdout)["data"]["judge"])


def test_the_default_judge_goes_by_the_tasks_of_the_rollouts(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q", "completion": "3 + 4 = 7 (not 9)", "numbers": [3, 4, 2], "target": 9, "step": 0},
        {"prompt": "Add. Put your answer within \\boxed{}.", "completion": "It is \\boxed{7}", "ground_truth": "7"},
    ]
    for number, row in enumerate(rows):
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(row) + "\n")
        done = cogtui_here("import", f"{number}.jsonl", folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert _default_judge("task:countdown", tmp_path) == "rules"
    assert _default_judge("task:math", tmp_path) == "prose"
    mixed = cogtui_here("judge", "--dry-run", folder=tmp_path)
    assert mixed.returncode == 2
    assert "these rollouts are about tasks with different judges" in mixed.stderr
    assert "countdown: 1 rollout, rules" in mixed.stderr


def test_rows_of_another_program_are_imported_scored_shown_and_exported(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": f"Tom has {n} bags of 3 pears. How many pears? Put your final answer within \\boxed{{}}.",
            "completion": f"Each bag has 3, so it is \\boxed{{{3 * n + n % 2}}}",
            "ground_truth": str(3 * n),
        }
        for n in range(4)
    ]
    (tmp_path / "gsm.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cogtui_here("import", "gsm.jsonl", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = json.loads(cogtui_here("rollouts", "task:math", "--json", folder=tmp_path).stdout)["data"]
    assert {row["problem"]["answer"]: row["correct"] for row in listed} == {
        "0": True, "3": False, "6": True, "9": False,
    }  # fmt: skip
    assert _default_judge("", tmp_path) == "prose"
    assert cogtui_here("judge", "--judge", "rules", folder=tmp_path).returncode == 0
    shown = cogtui_here("trace", listed[0]["id"], folder=tmp_path).stdout
    assert "evidence  wording alone: no numbers known" in shown
    assert cogtui_here("export", "correct:yes", "--out", "out.jsonl", folder=tmp_path).returncode == 0
    exported = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {(row["task"], row["problem"]["answer"]) for row in exported} == {("math", "0"), ("math", "6")}
