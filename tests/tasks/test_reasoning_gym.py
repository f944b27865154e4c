"""Tasks of reasoning-gym: the allow-list is checked against the installed version, statically and by running it."""

import ast
import inspect
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.tasks.loading import load_problems
from pipelines.tasks.reasoning_gym import ALLOWED, ReasoningGymConfig, make_task
from pipelines.tasks.registry import TASKS, describe_problem, score_problem

EVALUATE = {"eval", "exec", "compile", "parse_expr", "sympify", "lambdify", "literal_eval", "__import__", "S"} | {
    "import_module", "system", "popen", "Popen", "run", "loads", "load", "open", "loadtxt", "Fraction",
}  # fmt: skip
"""Names of calls that evaluate text, or whose cost is not bounded by the length of a text."""


def calls(function: Any) -> Iterator[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "?")
        elif isinstance(node, ast.Name):
            yield node.id  # a function that is handed on


def reached(cls: type) -> set[str]:
    """Names of all that a scorer calls, through methods of its class and functions of its module."""
    module = inspect.getmodule(cls)
    names: set[str] = set()
    seen: set[str] = set()
    ahead: list[Any] = [cls.score_answer]  # type: ignore[attr-defined]
    while ahead:
        for name in calls(ahead.pop()):
            names.add(name)
            called = getattr(cls, name, None) or getattr(module, name, None)
            if name not in seen and callable(called) and "reasoning_gym" in (getattr(called, "__module__", "") or ""):
                seen.add(name)
                ahead.append(called)
    return names


@pytest.mark.parametrize("name", ALLOWED)
def test_no_allowed_scorer_evaluates_text(name: str) -> None:
    from reasoning_gym.factory import DATASETS

    assert name in DATASETS, "not in the installed version"
    assert not reached(DATASETS[name][0]) & EVALUATE


def test_scorers_that_evaluate_are_seen_and_refused() -> None:
    """Otherwise the test above could not fail."""
    from reasoning_gym.factory import DATASETS

    evaluating = {"binary_matrix", "countdown", "n_queens", "number_sorting", "polynomial_multiplication", "puzzle24"}
    evaluating |= {"simple_integration", "spiral_matrix", "string_insertion", "bitwise_arithmetic", "codeio"}
    for name in evaluating:
        assert reached(DATASETS[name][0]) & EVALUATE, name
        assert name not in ALLOWED
        with pytest.raises(InvalidInput, match=f"reasoning_gym:{name} cannot be used"):
            TASKS.get(f"reasoning_gym:{name}")
        assert f"reasoning_gym:{name}" not in TASKS


_PROBE = """
import json, sys
from pipelines.tasks.reasoning_gym import ALLOWED, ReasoningGymConfig, make_task
armed = False
seen = []
def hook(event, arguments):
    if armed and event in ("compile", "exec", "os.system", "subprocess.Popen", "open"):
        seen.append(f"{event} {arguments}"[:200])
sys.addaudithook(hook)
mark = sys.argv[1]
call = f"__import__('os').system('touch {mark}')"
hostile = [call, f"[{call}]", f"1 + {call}", f"({call}, 1)", f"{{{call}: 1}}", "9**9**9", "[" * 1000, "9" * 1900,
           "1e999999999", "\\x00", "nan", "", " ", "\\ud800", "a" * 1999, "1/0", "-", "None", "[[1]]", "{}"]
report = {}
for name in ALLOWED:
    task = make_task(f"reasoning_gym:{name}")
    problem = json.loads(json.dumps(task.problems(ReasoningGymConfig(train=0, test=1))[1][0]))
    solved = task.score(f"<answer>{problem['answer']}</answer>", problem)
    armed = True
    rewards = [task.score(f"<answer>{each}</answer>", problem).reward for each in hostile]
    task.score(f"<answer>{problem['answer']}</answer>", problem)
    armed = False
    report[name] = [solved.reward, max(rewards), seen]
    seen = []
print(json.dumps(report))
"""


def test_allowed_scorers_run_on_hostile_answers_without_evaluating_and_know_their_own_answer(tmp_path: Path) -> None:
    mark = tmp_path / "evaluated"
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, str(mark)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report) == set(ALLOWED)
    assert {name: seen for name, (_, _, seen) in report.items() if seen} == {}
    assert {name: reward for name, (reward, _, _) in report.items() if reward != 1.0} == {}
    assert not mark.exists()


def test_the_problems_stage(tmp_path: Path) -> None:
    fields = {
        "task": "reasoning_gym:chain_sum",
        "train": 6,
        "test": 3,
        "task_config": {"options": {"min_terms": 2, "max_terms": 2}, "prompt": "{question}\n"},
    }
    run_stage(prepare("problems", fields, tmp_path / "out", [], base=tmp_path))
    loaded = load_problems(StageFolder(tmp_path / "out"))
    assert (loaded.task.name, len(loaded.train), len(loaded.test)) == ("reasoning_gym:chain_sum", 6, 3)
    assert len({problem["question"] for problem in (*loaded.train, *loaded.test)}) == 9
    problem = loaded.test[0]
    assert loaded.task.prompt(problem) == problem["question"] + "\n"
    score = score_problem(loaded.task.name, f"<answer>{problem['answer']}</answer>", problem)
    assert score is not None
    assert (score.reward, score.correct, score.reason) == (1.0, True, "correct")
    assert "answer:" in describe_problem(loaded.task.name, problem).full


def test_problems_follow_from_the_seed() -> None:
    task = make_task("reasoning_gym:gcd")
    one, other = (task.problems(ReasoningGymConfig(train=3, test=2, seed=seed)) for seed in (0, 1))
    assert one == task.problems(ReasoningGymConfig(train=3, test=2))
    assert one != other


def test_wrong_options_are_refused() -> None:
    task = make_task("reasoning_gym:chain_sum")
    with pytest.raises(InvalidInput, match="refuses these options"):
        task.problems(ReasoningGymConfig(train=1, test=1, options={"min_termss": 2}))
    with pytest.raises(ValueError, match="seed follows from"):
        ReasoningGymConfig(options={"seed": 1})
    small = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1, "allow_negation": False}
    with pytest.raises(InvalidInput, match="different problems with these options, not 2000"):
        task.problems(ReasoningGymConfig(train=1000, test=1000, options=small))


def test_without_the_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingRequirement, match="reasoning-gym"):
        make_task("reasoning_gym:lcm").problems(ReasoningGymConfig(train=1, test=7))
