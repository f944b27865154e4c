"""Documents, problems and stages for the tests of the corpus."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.files import write_json
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.tasks.countdown.problems import Problem, make_problem, write_problems
from pipelines.tasks.countdown.rules import Arithmetic
from pipelines.tasks.countdown.task import CountdownTask, shipped_template
from pipelines.tasks.loading import TASK_FILE, TEST_FILE, TRAIN_FILE

TRAIN = [
    make_problem(*each)
    for each in (((3, 7, 5), 16), ((1, 2, 9), 18), ((4, 6, 8), 16), ((2, 5, 7), 17), ((3, 4, 9), 21), ((1, 6, 8), 14))
]
TEST = [make_problem((2, 4, 6), 14), make_problem((5, 6, 9), 24)]
MINI = CountdownTask(
    arithmetic=Arithmetic(operations="+-*", minimum=0, maximum=50, integers_only=True),
    template=shipped_template("mini"),
)

RICH = (
    "First, I need to find the roots of the polynomial x^2 - 5x + 6. With x = 1 it is 2, so that does not work. "
    "Alternatively, let me try a different approach: factor it as (x - 2)(x - 3). Let me double-check that: 2 + 3 = 5 "
    "and 2 * 3 = 6, which matches. "
    "Therefore the answer is x = 2 or x = 3. This is problem number {n} of the book, about topic {n}."
)
PLAIN = (
    "The polynomial x^2 - 5x + 6 has the factors (x - 2) and (x - 3). Its roots are 2 and 3, with the sum 5 and the "
    "product 6. A quadratic polynomial with real roots crosses the axis twice. This is article number {n} of the "
    "collection, about equations of degree two and topic {n}."
)


def jsonl(path: Path, records: Iterable[Mapping[str, Any] | bytes]) -> Path:
    """A JSONL file; bytes are written as they are."""
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def distinct(template: str, count: int) -> list[dict[str, Any]]:
    """Documents that differ so much that none is a near duplicate of another."""
    fillers = [" ".join(f"w{n * 37 % 1009}x{k * 13 % 97}" for k in range(60)) for n in range(count)]
    return [{"text": f"{template.format(n=n)} {fillers[n]}."} for n in range(count)]


def problems_stage(path: Path, train: Sequence[Problem] = TRAIN, test: Sequence[Problem] = TEST) -> Path:
    """A finished `problems` stage."""
    artifacts = path / "artifacts"
    artifacts.mkdir(parents=True)
    write_problems(artifacts / TRAIN_FILE, train)
    write_problems(artifacts / TEST_FILE, test)
    write_json(artifacts / TASK_FILE, MINI.model_dump(mode="json"))
    write_json(path / "stage.json", {"kind": "problems", "key": "problems-000000000000", "config": {}})
    write_json(path / "result.json", {})
    return path


def stage(kind: str, config: dict[str, Any], out: Path, *inputs: Path) -> StageFolder:
    """A stage, run to its end."""
    folder = prepare(kind, config, out, inputs, base=out.parent)
    run_stage(folder)
    return folder


def result(folder: StageFolder) -> dict[str, Any]:
    """What a stage reported."""
    found = folder.result()
    assert found is not None
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]
