import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import CogtuiError, InvalidInput, NotFound
from pipelines.tasks.countdown.problems import Problem, read_problems, write_problems
from pipelines.tasks.countdown.reading import problem_of
from pipelines.tasks.countdown.task import TEMPLATES, CountdownTask, shipped_template
from tests.tasks.countdown.shapes import SHAPES, WANTED


@pytest.fixture(params=list(SHAPES))
def rows(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return [SHAPES[request.param](problem) for problem in WANTED]


def test_every_shape_as_jsonl(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert read_problems(path) == WANTED


def test_every_shape_as_a_json_list(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "problems.json"
    path.write_text("\ufeff" + json.dumps(rows, indent=2), encoding="utf-8")
    assert read_problems(path) == WANTED


@pytest.mark.parametrize("name", TEMPLATES)
def test_our_own_prompts_can_be_read_back(name: str, tmp_path: Path) -> None:
    task = CountdownTask(template=shipped_template(name))  # type: ignore[arg-type]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": task.prompt(problem)}) + "\n" for problem in WANTED))
    assert read_problems(path) == WANTED


def test_written_problems_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    write_problems(path, WANTED)
    assert read_problems(path) == WANTED
    write_problems(path, [])
    assert read_problems(path) == []


def test_a_files_own_ids_are_kept_and_numeric_ones_are_not(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"id":"mine","nums":[1,2],"target":3}\n{"id":7,"nums":[1,2],"target":3}\n')
    assert [problem.id for problem in read_problems(path)] == ["mine", "1-2_3"]


def test_blank_lines_and_odd_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_bytes('\n{"prompt":"a\u2028b [1, 2] target 3"}\r\n\n{"nums":[4,5],"target":20}'.encode())
    assert [problem.id for problem in read_problems(path)] == ["1-2_3", "4-5_20"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[1, 2]", "not an object"),
        ("17", "not an object"),
        ("{}", "neither numbers and target nor a prompt"),
        ('{"nums": [1, 2]}', "`nums` without `target`"),
        ('{"nums": [1, 2], "target": null}', "`nums` without `target`"),
        ('{"target": 3}', "neither numbers and target nor a prompt"),
        ('{"nums": [1, 2.5], "target": 3}', "2.5 where a whole number belongs"),
        ('{"nums": [1, true], "target": 3}', "True where a whole number belongs"),
        ('{"nums": [1, "x"], "target": 3}', "'x' where a whole number belongs"),
        ('{"nums": "one two", "target": 3}', "`nums` is not a list of whole numbers"),
        ('{"nums": {"a": 1}, "target": 3}', "`nums` is not a list of whole numbers"),
        ('{"nums": [], "target": 3}', "`nums` is not a list of whole numbers"),
        ('{"nums": [5], "target": 3}', "2 to 6 numbers, not 1"),
        ('{"nums": [1, 2, 3, 4, 5, 6, 7], "target": 3}', "2 to 6 numbers, not 7"),
        ('{"nums": [1, -2], "target": 3}', "-2 is negative"),
        ('{"nums": [1, 2], "target": 1e400}', "inf where a whole number belongs"),
        ('{"nums": [1, 2], "target": NaN}', "nan where a whole number belongs"),
        ('{"prompt": "no numbers here, target 5"}', "exactly one list of numbers (none)"),
        ('{"prompt": "[1, 2] somehow"}', "exactly one target (none)"),
        ('{"prompt": "[1, 2] target 3, [4, 5] target 9"}', "exactly one list of numbers (several: 1, 2, 4, 5)"),
        ('{"prompt": 7}', "neither text nor a list of messages"),
        ('{"prompt": [7]}', "exactly one list of numbers (none)"),
        ('{"nums": [1, 2], "target": 3', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_row_without_a_problem_is_named(line: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    good = '{"nums": [1, 2], "target": 3}\n'
    path.write_text(good + "\n" + line + "\n" + good)
    with pytest.raises(InvalidInput) as caught:
        read_problems(path)
    assert caught.value.summary.startswith(f"{path}, line 3: ")
    assert says in caught.value.summary
    assert caught.value.remedy


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no problem file"):
        read_problems(tmp_path / "none.jsonl")


def test_a_folder_is_no_problem_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot read the problem file"):
        read_problems(tmp_path)


def test_neither_text_nor_parquet(tmp_path: Path) -> None:
    path = tmp_path / "problems.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    with pytest.raises(InvalidInput, match="neither parquet nor UTF-8"):
        read_problems(path)


def test_damaged_json_list(tmp_path: Path) -> None:
    path = tmp_path / "problems.json"
    path.write_text('[{"nums": [1, 2], "target": 3},')
    with pytest.raises(InvalidInput, match="not valid JSON"):
        read_problems(path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-50, 50) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["nums", "numbers", "target", "prompt", "reward_model", "ground_truth", "role", "content"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(_JSON)
def test_any_json_is_a_problem_or_a_named_error(tmp_path_factory: pytest.TempPathFactory, row: Any) -> None:
    path = tmp_path_factory.mktemp("json") / "problems.jsonl"
    path.write_text(json.dumps(row) + "\n")
    try:
        problems = read_problems(path)
    except CogtuiError:
        return
    assert all(isinstance(problem, Problem) for problem in problems)


@pytest.mark.parametrize(
    "prompt",
    [
        "Calculate 21 using all of these numbers: 2, 6, 9.\nEach number may be used at most once.",
        "Find a way to make 21 using all of these numbers: 2, 6, 9.",
        "Numbers: [2, 6, 9]\nTarget: 21",
        "Using all the numbers 2, 6, 9, create an expression that equals 21.\nYou can only use each number once.",
        "Using the numbers [2 6 9], create an equation that equals 21.",
    ],
)
def test_prompts_of_other_generators_are_read(prompt: str) -> None:
    problem = problem_of({"prompt": prompt})
    assert (problem.numbers, problem.target) == ((2, 6, 9), 21)
