"""The end of a run: what its stages themselves reported, in tables and as data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cogtui.cli.console.alignment import aligned
from cogtui.cli.jobs.corpus_summary import classify_table, curate_table, pretrain_table
from cogtui.cli.run.check import CellResults
from cogtui.cli.run.display.base import duration, one_line
from jobs.planning.types import Plan, StageInstance
from jobs.recipe.labels import label_text
from jobs.workspace import Workspace
from pipelines.records import BEHAVIORS

MISSING: Final = "–"
"""What stands where a value is missing; never 0."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A stage of the run that is done, with its result."""

    stage: StageInstance
    result: Mapping[str, Any]


def finished_stages(stages: Iterable[StageInstance], workspace: Workspace) -> list[Finished]:
    """The stages that have a result, with it.

    Raises:
        InvalidInput: a `result.json` is damaged.
    """
    found = []
    for stage in stages:
        result = workspace.folder(stage.key).result()
        if result is not None:
            found.append(Finished(stage, result))
    return found


def cell_results(plan: Plan, finished: Iterable[Finished]) -> list[CellResults]:
    """The results of each cell, for `--assert`."""
    results = {one.stage.key: one.result for one in finished}
    return [
        CellResults(cell.labels, {name: (key, results[key]) for name, key in cell.stages.items() if key in results})
        for cell in plan.cells
    ]


def summary_lines(plan: Plan, finished: Sequence[Finished], reused: int, elapsed_s: float) -> list[str]:
    """The summary for people: one table for each stage of the recipe that has numbers to show."""
    count = "1 stage" if len(finished) == 1 else f"{len(finished)} stages"
    lines = [f"{plan.name}: {count} done, {reused} of them before this run, in {duration(elapsed_s)}"]
    by_name: dict[str, list[Finished]] = {}
    for one in finished:
        by_name.setdefault(one.stage.name, []).append(one)
    for name, group in by_name.items():
        make = _TABLES.get(group[0].stage.kind)
        if make is not None:
            head, rows = make([one.result for one in group])
            titles = [label_text(one.stage.labels) or "all cells" for one in group]
            lines += ["", *aligned([(name, *head), *((title, *row) for title, row in zip(titles, rows, strict=True))])]
    warnings = [
        f"{one.stage.title}: {one_line(str(warning))}"
        for one in finished
        for warning in one.result.get("warnings") or ()
    ]
    return [*lines, *(["", *(f"warning: {warning}" for warning in warnings)] if warnings else [])]


Results = Sequence[Mapping[str, Any]]
Table = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]


def _ppo_table(results: Results) -> Table:
    steps = {result.get("reward_steps") for result in results}
    width = steps.pop() if len(steps) == 1 else None
    ends = "steps" if width is None else "step" if width == 1 else f"{width} steps"
    head = f"mean reward, first → last {ends}"
    rows = [
        (_change(result, "reward_first", "reward_last", "reward_n"), _change(result, *_ACCURACY)) for result in results
    ]
    return (head, "test accuracy, before → after"), rows


_ACCURACY: Final = ("accuracy_before", "accuracy_after", "accuracy_n")


def _sample_table(results: Results) -> Table:
    rows = [
        (_number(result.get("accuracy")), _number(result.get("reward")), _count(result.get("n"))) for result in results
    ]
    return ("accuracy", "mean reward", "n"), rows


def _judge_table(results: Results) -> Table:
    return (*BEHAVIORS, "judged"), [_judged(result) for result in results]


def _judged(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Mean count per judged rollout and behaviour; how many were judged, by behaviour where that differs."""
    total = _count(result.get("rollouts"))
    found = [(result.get("behaviors") or {}).get(behavior) or {} for behavior in BEHAVIORS]
    judged = [entry.get("n") for entry in found]
    alike = len(set(judged)) == 1
    means = [
        _number(entry.get("mean")) + ("" if alike else f" (n {_count(n)})")
        for entry, n in zip(found, judged, strict=True)
    ]
    return (*means, f"{_count(judged[0]) if alike else 'see n'} of {total}")


_BREACHES: Final = ("unwanted", "incomplete")
"""Shares of traces that show what their condition forbids, and that lack what it asks for."""


def _priming_table(results: Results) -> Table:
    """Accuracy beside what was published of the traces Claude wrote, and whether the teacher did as it was asked."""
    from cogtui.analysis.reference import published_teacher_accuracy

    published = published_teacher_accuracy()
    rows = [
        (
            _count(result.get("n")),
            _number(result.get("accuracy")),
            MISSING if result.get("teacher") == "symbolic" else _number(published.get(str(result.get("condition")))),
            *(_number(((result.get("behaviors") or {}).get(name) or {}).get("present")) for name in BEHAVIORS),
            *(
                _share((result.get("adherence") or {}).get(name), result.get("n"))
                for name in ("unwanted", "incomplete")
            ),
            _dollars(result.get("spent")),
        )
        for result in results
    ]
    heads = ("n", "accuracy", "published", *(f"{name} in" for name in BEHAVIORS), *_BREACHES, "cost")
    return heads, rows


def _share(count: Any, n: Any) -> str:
    return f"{count / n:.3f}" if isinstance(count, int) and isinstance(n, int) and n else MISSING


def _dollars(spent: Any) -> str:
    cost = spent.get("cost_usd") if isinstance(spent, Mapping) else None
    return f"${cost:.2f}" if isinstance(cost, int | float) else MISSING


_TABLES: Final = {
    "priming_data": _priming_table,
    "classify": classify_table,
    "curate": curate_table,
    "pretrain": pretrain_table,
    "ppo": _ppo_table,
    "sample": _sample_table,
    "judge": _judge_table,
}


def _change(result: Mapping[str, Any], before: str, after: str, n: str) -> str:
    if result.get(before) is None and result.get(after) is None:
        return MISSING
    return f"{_number(result.get(before))} → {_number(result.get(after))} (n {_count(result.get(n))})"


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) and not isinstance(value, bool) else MISSING


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else MISSING
