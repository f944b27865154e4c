"""The summary of a run: the results of its stages, as tables and as data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cogtui.cli.console.layout import format_table, output_width
from cogtui.cli.run.check import CellResults
from jobs.formatting import format_duration
from jobs.planning.types import RecipePlan, StageInstance
from jobs.recipe.labels import label_text
from jobs.workspace import Workspace
from pipelines.stages import stage_kind
from pipelines.text_safety import one_line
from pipelines.wording import count_of


@dataclass(frozen=True, slots=True)
class FinishedStage:
    """A finished stage of the run, with its result."""

    stage: StageInstance
    result: Mapping[str, Any]


def finished_stages(stages: Iterable[StageInstance], workspace: Workspace) -> list[FinishedStage]:
    """Return the stages that have a result, with the result.

    Raises:
        InvalidInput: a `result.json` is damaged.
    """
    found = []
    for stage in stages:
        result = workspace.folder(stage.key).result()
        if result is not None:
            found.append(FinishedStage(stage, result))
    return found


def cell_results(plan: RecipePlan, finished: Iterable[FinishedStage]) -> list[CellResults]:
    """Return the results of each cell, for `--assert`."""
    results = {one.stage.key: one.result for one in finished}
    return [
        CellResults(cell.labels, {name: (key, results[key]) for name, key in cell.stages.items() if key in results})
        for cell in plan.cells
    ]


def summary_lines(plan: RecipePlan, finished: Sequence[FinishedStage], reused: int, elapsed_s: float) -> list[str]:
    """Return the summary as text: one table for each stage of the recipe whose kind has one."""
    count = count_of(len(finished), "stage")
    lines = [
        f"{plan.name}: {count} done, {reused} of them before this run, in {format_duration(elapsed_s, precise=True)}"
    ]
    for table in result_tables(finished):
        lines += ["", *format_table(table, width=output_width())]
    warnings = [
        f"{one.stage.title}: {one_line(str(warning), 160)}"
        for one in finished
        for warning in one.result.get("warnings") or ()
    ]
    return [*lines, *(["", *(f"warning: {warning}" for warning in warnings)] if warnings else [])]


def result_tables(finished: Iterable[FinishedStage]) -> list[list[tuple[str, ...]]]:
    """Return a table for each stage of the recipe whose kind has one: its head, then a row for each cell."""
    by_name: dict[str, list[FinishedStage]] = {}
    for one in finished:
        by_name.setdefault(one.stage.name, []).append(one)
    tables = []
    for name, group in by_name.items():
        table = stage_kind(group[0].stage.kind).result_table_of([one.result for one in group])
        if table is not None:
            titles = [label_text(one.stage.labels) or "all cells" for one in group]
            rows = [(title, *row) for title, row in zip(titles, table.rows, strict=True)]
            tables.append([(name, *table.head), *rows])
    return tables
