import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InvalidInput, NotFound
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.stages import content_key, stage_kind
from pipelines.tasks.countdown.problems import Problem, make_problem, read_problems, write_problems
from pipelines.tasks.countdown.stage import CountdownConfig
from pipelines.tasks.countdown.task import load_countdown

MINIATURE: dict[str, Any] = {
    "sizes": [3],
    "number_range": [1, 9],
    "target_range": [10, 30],
    "distinct": True,
    "arithmetic": {"operations": "+-*", "minimum": 0, "maximum": 50, "integers_only": True},
    "template": "mini",
    "train": 363,
    "test": 120,
}


def run(tmp_path: Path, config: dict[str, Any], name: str = "out") -> StageFolder:
    folder = prepare("problems", config, tmp_path / name, [], base=tmp_path)
    run_stage(folder)
    return folder


def keys(problems: list[Problem]) -> set[Any]:
    return {problem.key for problem in problems}


def test_the_whole_miniature(tmp_path: Path) -> None:
    folder = run(tmp_path, MINIATURE)
    loaded = load_countdown(folder)
    assert (len(loaded.train), len(loaded.test)) == (363, 120)
    assert keys(loaded.train).isdisjoint(keys(loaded.test))
    assert len(keys(loaded.train) | keys(loaded.test)) == 483
    assert loaded.task.arithmetic.operations == "+-*"
    assert folder.result() == {
        "train": 363,
        "test": 120,
        "sizes": {"3": 483},
        "prompt_characters": {"shortest": 30, "longest": 30},
    }
    progress = folder.progress()
    assert progress is not None
    assert (progress.done, progress.total, progress.unit) == (483, 483, "problems")


def test_one_problem_too_many_is_a_clear_error_and_no_result(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="only 483 solvable problems of this kind, 484 asked for"):
        run(tmp_path, {**MINIATURE, "train": 364})
    assert StageFolder(tmp_path / "out").result() is None


def test_run_again_after_a_kill_it_writes_the_same(tmp_path: Path) -> None:
    first = run(tmp_path, {"train": 40, "test": 10})
    second = prepare("problems", {"train": 40, "test": 10}, tmp_path / "again", [], base=tmp_path)
    (second.artifacts / "train.jsonl").write_text("torn by a ki")
    run_stage(second)
    for name in ("train.jsonl", "test.jsonl", "task.json"):
        assert (first.artifacts / name).read_bytes() == (second.artifacts / name).read_bytes()


def test_more_training_problems_leave_the_test_problems_as_they_are(tmp_path: Path) -> None:
    few = load_countdown(run(tmp_path, {"train": 10, "test": 20}, "few"))
    more = load_countdown(run(tmp_path, {"train": 50, "test": 20}, "more"))
    assert few.test == more.test
    assert few.train == more.train[:10]


def test_excluded_files_are_honoured(tmp_path: Path) -> None:
    first = load_countdown(run(tmp_path, {**MINIATURE, "train": 300, "test": 83}, "first"))
    write_problems(tmp_path / "seen.jsonl", first.train)
    write_problems(tmp_path / "held.jsonl", first.test)
    rest = {**MINIATURE, "train": 60, "test": 40, "exclude": ["seen.jsonl", "held.jsonl"]}
    second = load_countdown(run(tmp_path, rest, "second"))
    assert keys([*second.train, *second.test]).isdisjoint(keys([*first.train, *first.test]))


def published(path: Path, problems: list[Problem]) -> Path:
    path.write_text(
        "".join(json.dumps({"nums": list(each.numbers), "target": each.target}) + "\n" for each in problems)
    )
    return path


SOLVABLE = [make_problem((3, 4), 7), make_problem((5, 6), 30), make_problem((9, 2), 18), make_problem((8, 1), 9)]


def test_one_file_gives_test_problems_first_and_says_what_it_left_out(tmp_path: Path) -> None:
    repeated, unsolvable = make_problem((4, 3), 7), make_problem((1, 1), 50)
    published(tmp_path / "all.jsonl", [SOLVABLE[0], repeated, unsolvable, *SOLVABLE[1:]])
    published(tmp_path / "not.jsonl", [make_problem((6, 5), 30)])
    folder = run(tmp_path, {"train_file": "all.jsonl", "train": 2, "test": 1, "exclude": ["not.jsonl"]})
    loaded = load_countdown(folder)
    assert loaded.test == [SOLVABLE[0]]
    assert loaded.train == SOLVABLE[2:]
    result = folder.result()
    assert result is not None
    assert result["left_out"] == {"repeated": 1, "excluded": 1, "in_test": 0, "unsolvable": 1}


def test_two_files_never_train_on_a_test_problem(tmp_path: Path) -> None:
    published(tmp_path / "train.jsonl", SOLVABLE)
    published(tmp_path / "test.jsonl", [make_problem((2, 9), 18), make_problem((4, 3), 7)])
    folder = run(tmp_path, {"train_file": "train.jsonl", "test_file": "test.jsonl", "train": 2, "test": 2})
    loaded = load_countdown(folder)
    assert keys(loaded.test) == keys([SOLVABLE[2], SOLVABLE[0]])
    assert loaded.train == [SOLVABLE[1], SOLVABLE[3]]
    result = folder.result()
    assert result is not None
    assert result["left_out"]["in_test"] == 2


def test_a_test_file_beside_drawn_training_problems(tmp_path: Path) -> None:
    drawn = load_countdown(run(tmp_path, {**MINIATURE, "train": 443, "test": 40}, "drawn"))
    write_problems(tmp_path / "test.jsonl", drawn.test)
    loaded = load_countdown(run(tmp_path, {**MINIATURE, "train": 443, "test": 40, "test_file": "test.jsonl"}, "mixed"))
    assert loaded.test == drawn.test
    assert keys(loaded.train) == keys(drawn.train)


def test_a_file_with_too_few_problems(tmp_path: Path) -> None:
    published(tmp_path / "all.jsonl", [*SOLVABLE, SOLVABLE[0], make_problem((1, 1), 50)])
    with pytest.raises(InvalidInput) as caught:
        run(tmp_path, {"train_file": "all.jsonl", "train": 4, "test": 1})
    assert caught.value.summary == f"{tmp_path / 'all.jsonl'} has only 4 usable problems, 5 asked for"
    assert caught.value.detail == "Left out: 1 repeated, 0 excluded, 0 in test, 1 unsolvable."


def test_solvable_means_under_the_tasks_arithmetic(tmp_path: Path) -> None:
    published(tmp_path / "all.jsonl", [make_problem((3, 3, 8, 8), 24), *SOLVABLE])
    config = {"train_file": "all.jsonl", "train": 3, "test": 1, "arithmetic": {"operations": "+-*"}}
    result = run(tmp_path, config).result()
    assert result is not None
    assert result["left_out"]["unsolvable"] == 1


def test_two_problems_may_not_share_an_id(tmp_path: Path) -> None:
    write_problems(tmp_path / "ids.jsonl", [each.model_copy(update={"id": "same"}) for each in SOLVABLE])
    with pytest.raises(InvalidInput, match="two problems have the id 'same': 7 from \\[3, 4\\], and 30 from"):
        run(tmp_path, {"train_file": "ids.jsonl", "train": 1, "test": 1})


def test_a_template_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes("Make {target} of {numbers}!\r\n→".encode())
    loaded = load_countdown(run(tmp_path, {"train": 1, "test": 1, "template_file": "mine.txt"}))
    problem = loaded.train[0]
    assert loaded.task.prompt(problem) == f"Make {problem.target} of {list(problem.numbers)}!\r\n→"


def test_a_file_that_changed_after_planning_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "mine.txt"
    template.write_text("Make {target} of {numbers}")
    folder = prepare("problems", {"template_file": "mine.txt"}, tmp_path / "out", [], base=tmp_path)
    template.write_text("Get {target} of {numbers}")
    with pytest.raises(InvalidInput, match="changed after this stage was planned"):
        run_stage(folder)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no placeholders", "must contain"),
        (b"{numbers} {tagret}", "did you mean {target}?"),
        (b"{numbers} {target} \xff", "not UTF-8"),
    ],
)
def test_a_template_file_that_cannot_work_is_refused_when_planning(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        prepare("problems", {"template_file": "mine.txt"}, tmp_path / "out", [], base=tmp_path)
    assert says in caught.value.detail
    assert "mine.txt" in caught.value.detail


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"train": 0, "test": 0}, "no problem at all"),
        ({"train": -1}, "train: "),
        ({"sizes": [2], "number_range": [1, 1], "distinct": True}, "no 2 distinct numbers from 1 to 1"),
        ({"train_file": "none.jsonl"}, "no such file"),
        ({"template": "other"}, "template: "),
        ({"seeed": 3}, "seeed: "),
    ],
)
def test_a_config_that_cannot_be_is_refused_when_planning(config: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        prepare("problems", config, tmp_path / "out", [], base=tmp_path)
    assert says in caught.value.detail
    assert not (tmp_path / "out").exists()


def test_every_field_has_a_sentence() -> None:
    for name, field in CountdownConfig.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_the_key_follows_contents_not_paths(tmp_path: Path) -> None:
    kind = stage_kind("problems")
    published(tmp_path / "one.jsonl", SOLVABLE)
    published(tmp_path / "two.jsonl", SOLVABLE)
    published(tmp_path / "three.jsonl", SOLVABLE[1:])

    def key(**fields: Any) -> str:
        config = kind.config_model().model_validate(fields, context={"base": tmp_path})
        return content_key("problems", config, ())

    assert key(train_file="one.jsonl") == key(train_file="two.jsonl")
    assert key(train_file="one.jsonl") != key(train_file="three.jsonl")
    assert key(seed=1) != key(seed=2)
    assert key(arithmetic={"operations": "+-"}) == key(arithmetic={"operations": "-+"})


def test_alone_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text("train = 5\ntest = 5\nsizes = [2]\n")
    (tmp_path / "bad.toml").write_text("train = 5\nsizes = [2]\nnumber_range = [1, 2]\ntarget_range = [90, 99]\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}

    def python(config: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "pipelines", "problems", config, "--out", f"{config}.out"]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    good = python("good.toml")
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["train"] == 5
    assert len(read_problems(tmp_path / "good.toml.out" / "artifacts" / "train.jsonl")) == 5
    bad = python("bad.toml")
    assert bad.returncode == 2
    assert "there is no solvable problem of this kind, 105 asked for" in bad.stderr
    assert "Traceback" not in bad.stderr


def test_an_input_file_that_vanished(tmp_path: Path) -> None:
    published(tmp_path / "all.jsonl", SOLVABLE)
    folder = prepare("problems", {"train_file": "all.jsonl"}, tmp_path / "out", [], base=tmp_path)
    (tmp_path / "all.jsonl").unlink()
    with pytest.raises((InvalidInput, NotFound), match=r"all\.jsonl"):
        run_stage(folder)
