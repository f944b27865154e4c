"""Compare: the tables and claims of an experiment, and in what it, or one of its runs, differs from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cogtui.app.experiments.report_actions import ReportActions
from cogtui.app.experiments.results_rows import (
    Rows,
    claim_table_rows,
    difference_rows,
    joined,
    table_rows,
    wrapped,
)
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.opening import OpenAnnotation
from cogtui.app.shell.trace_order import QueueOrder
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows

if TYPE_CHECKING:
    from cogtui.analysis.claims import Claim
    from cogtui.analysis.comparisons import ClaimComparison
    from cogtui.analysis.config_differences import Difference
    from cogtui.analysis.experiment_summary import ExperimentSummary
    from cogtui.analysis.tables import TextTable
    from cogtui.store import RolloutRow, Store
    from jobs.planning.experiments import Experiment
    from jobs.workspace import Workspace


_QUEUED = 50
"""Completions that a queue of labels offers at once."""


class Results(NamedTuple):
    """What `cogtui compare` says about an experiment."""

    sentences: tuple[str, ...]
    claims: TextTable
    tables: tuple[TextTable, ...]
    left_out: tuple[str, ...]
    summary: ExperimentSummary
    judge_error: tuple[str, ...] = ()
    """The sentences about counts corrected by people's labels."""


class ResultsScreen(ReportActions):
    """The results of one experiment, read anew at each opening.

    Args:
        experiment: the newest start.
    """

    MODE = "Experiments"
    HELP_TITLE = "Compare"
    FOOTER = ("R", "d", "D", "p")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "differences", "Differences to an experiment"),
        Binding("D", "run_differences", "Differences of two runs"),
        Binding("p", "published", "Published figures"),
        Binding("c", "judge_error", "Corrected by labels, or as judged", show=False),
        Binding("l", "label", "Label what narrows a claim most", show=False),
        Binding("y", "copy_command", "Copy the command that prints it", show=False),
    ]

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(f"{printable_line(experiment.name, 40)} › compare")
        self.experiment = experiment
        self.results: Results | None = None
        self.differences: tuple[str, list[Difference]] | None = None
        self.published = False
        self.judge_error = True

    def compose_body(self) -> ComposeResult:
        yield TextRows((" reading evaluations", "dim"), widget_id="summary")
        with Panel(title="Do the habits pay?", panel_id="results-panel", text=True):
            yield DetailPane("results")

    def on_mount(self) -> None:
        self.query_one(DetailPane).focus()
        self._load()

    def _load(self) -> None:
        self.run_worker(self._read(), group="load", exclusive=True)

    async def _read(self) -> None:
        workspace, experiment = self.context.workspace, self.experiment
        published, judge_error = self.published, self.judge_error
        found = await self.fetch(
            self.context.work.call(lambda _: _read_results(experiment, workspace, published, judge_error))
        )
        if found is not None:
            self.results = found
            self._show()

    def _show(self) -> None:
        from cogtui.analysis.tables import HOW_TO_READ

        results, differences = self.results, self.differences
        if results is None:
            return

        def rows(width: int) -> Rows:
            sections: list[Rows] = []
            if differences is not None:
                sections.append(difference_rows(differences[0], differences[1], width))
            sections.append([row for text in results.sentences for row in wrapped(text, width)])
            if results.claims.rows:
                sections.append(claim_table_rows(results.claims, width))
            sections += [table_rows(table, width) for table in results.tables]
            sections.append([row for text in results.judge_error for row in wrapped(text, width, style="dim")])
            sections.append([row for text in results.left_out for row in wrapped(text, width, style="warn")])
            return joined(sections) or [[("no stage of this experiment evaluates a model yet", "dim")]]

        pane = self.query_one(DetailPane)
        pane.show_with(rows)
        pane.scroll_lines(0)
        self.query_one("#summary", TextRows).show((f" {HOW_TO_READ}", "dim"))
        self.query_one(Panel).show_subtitle("y copies the command")

    @property
    def reported_experiment(self) -> Experiment:
        return self.experiment

    def action_published(self) -> None:
        """Add the published figures of the same conditions, or leave them out."""
        self.published = not self.published
        self._load()

    def action_judge_error(self) -> None:
        """Show counts corrected by people's labels with claims decided by them, or the judge's alone."""
        self.judge_error = not self.judge_error
        self._load()

    def action_label(self) -> None:
        """Ask for a claim about behaviours, and annotate the completions whose labels narrow its interval most."""
        from cogtui.analysis.gold_queue import countable_comparisons

        if self.results is None:
            return
        summary = self.results.summary
        found = [(claim, each) for claim in summary.claims for each in countable_comparisons(claim)]
        if not found:
            self.show_message("no claim here is about counts of behaviours; others need no labels")
            return

        def chosen(index: int | None) -> None:
            if index is not None:
                self.run_worker(self._label(summary, *found[index]), group="label", exclusive=True)

        names = [_comparison_name(each) for _, each in found]
        self.app.push_screen(ChoiceScreen("Label for which comparison?", names), chosen)

    async def _label(self, summary: ExperimentSummary, claim: Claim, comparison: ClaimComparison) -> None:
        from cogtui.analysis.gold_queue import build_queue

        def read(store: Store) -> tuple[list[str], RolloutRow | None]:
            queue = build_queue(summary, store.final_labels(), (claim, comparison), limit=_QUEUED)
            ids = store.existing(one.rollout for one in queue.completions)
            return ids, store.rollout(ids[0]).row if ids else None

        found = await self.fetch(self.context.judging.call(read))
        if found is None:
            return
        ids, row = found
        if row is None:
            self.show_message("every completion of this comparison is labelled, or the index has none of them yet")
        else:
            self.post_message(OpenAnnotation(self, QueueOrder(ids), row, "", lambda *_: self._load()))

    def action_copy_command(self) -> None:
        """Copy the command that prints the same."""
        reference = " --reference paper" if self.published else ""
        reference += "" if self.judge_error else " --judge-error off"
        place = f" --workspace {self.context.workspace.path}"
        self.copy(f"cogtui compare {self.experiment.name}{reference}{place}", "the command")

    def action_differences(self) -> None:
        """Ask for another experiment and show in what the two differ."""
        others = [one for one in self.context.snapshot.experiments if one.name != self.experiment.name]
        if not others:
            self.show_message("there is no other experiment in this workspace")
            return

        def chosen(index: int | None) -> None:
            if index is not None:
                self.run_worker(self._compare(others[index]), group="differences", exclusive=True)

        names = [printable_line(one.name, 80) for one in others]
        self.app.push_screen(ChoiceScreen("Differences to which experiment?", names), chosen)

    async def _compare(self, other: Experiment) -> None:
        from cogtui.analysis.config_differences import compare_experiments

        workspace, mine = self.context.workspace, self.experiment
        found = await self.fetch(self.context.work.call(lambda _: compare_experiments(mine, other, workspace)))
        if found is not None:
            self.differences = (f"{mine.name} beside {other.name}", found)
            self._show()

    def action_run_differences(self) -> None:
        """Ask for two runs and show in what their labels and configs differ."""
        cells = self.experiment.cells
        if len(cells) < 2:
            self.show_message("there is no other run in this experiment")
            return
        names = [printable_line(cell.title, 100) for cell in cells]

        def first_chosen(first: int | None) -> None:
            if first is None:
                return

            def second_chosen(second: int | None) -> None:
                if second is not None:
                    self.run_worker(self._compare_runs(first, second), group="differences", exclusive=True)

            after = min(first + 1, len(names) - 1)
            self.app.push_screen(ChoiceScreen(f"{names[first]} beside which run?", names, after), second_chosen)

        self.app.push_screen(ChoiceScreen("Which run?", names), first_chosen)

    async def _compare_runs(self, first: int, second: int) -> None:
        from cogtui.analysis.config_differences import compare_cells

        workspace = self.context.workspace
        left, right = self.experiment.cells[first], self.experiment.cells[second]
        found = await self.fetch(self.context.work.call(lambda _: compare_cells(left, right, workspace)))
        if found is not None:
            self.differences = (f"{left.title} beside {right.title}", found)
            self._show()


def _comparison_name(one: ClaimComparison) -> str:
    half = one.difference.judge_half
    error = "judge ?    " if half is None else f"judge ±{half:.2f}"  # first: a narrow list cuts the end
    return printable_line(f"{error}  {one.name}, {one.quantity or one.measure}", 100)


def _read_results(experiment: Experiment, workspace: Workspace, published: bool, judge_error: bool) -> Results:
    from cogtui.analysis.experiment_summary import summarise_experiment
    from cogtui.analysis.sentences import describe_experiment
    from cogtui.analysis.tables import build_claims_table, build_tables

    summary = summarise_experiment(
        experiment.name,
        experiment.cells,
        workspace,
        reference=published,
        recipe=experiment.recipe,
        judge_error=judge_error,
    )
    claims = build_claims_table(summary)
    tables = tuple(table for table in build_tables(summary) if table != claims)
    notes = summary.corrections.notes() if summary.corrections is not None and summary.groups else ()
    return Results(tuple(describe_experiment(summary)), claims, tables, summary.warnings, summary, tuple(notes))
