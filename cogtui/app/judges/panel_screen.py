"""All judges and people of the workspace together: Krippendorff's alpha, and every pair."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cogtui.analysis.agreement.indexed import DEFAULT_SAMPLE_SIZE, compare_all
from cogtui.analysis.agreement.panel import PanelAgreement
from cogtui.app.judges.comparison_rows import Rows, behavior_label, format_figure, format_interval
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.rollout.trace_facts import judge_name
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.wording import count_of

_NAME = 26


class JudgePanelScreen(AppScreen):
    """The agreement of all judge runs and people, over the traces that people labelled, or a sample without any."""

    HELP_TITLE = "All judges"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus", "more", "Ten times as many traces", show=False, key_display="+")
    ]

    def __init__(self, mode: str) -> None:
        super().__init__("all judges", mode=mode)
        self.limit = DEFAULT_SAMPLE_SIZE
        self.found: PanelAgreement | None = None

    def compose_body(self) -> ComposeResult:
        yield TextRows((" reading the judgements", "dim"), widget_id="summary")
        with Panel(title="How well all of them agree", panel_id="report-panel", text=True):
            yield DetailPane("report")

    def on_mount(self) -> None:
        self.query_one(DetailPane).focus()
        self.run_worker(self._load(), group="load", exclusive=True)

    async def _load(self) -> None:
        limit = self.limit
        found = await self.fetch(
            self.context.judging.call(lambda store: compare_all(store, limit=limit, name_of=judge_name))
        )
        summary = self.query_one("#summary", TextRows)
        if found is None:
            summary.show((" fewer than two judges have judged the same traces", "dim"))
            return
        self.found = found
        traces = max((one.traces for one in found.counts.values()), default=0)
        summary.show(
            (f" {len(found.judges)} judges and people", "strong"),
            (f"   {count_of(traces, 'trace')} that two or more of them judged (+ for more)", "dim"),
        )
        self.query_one(DetailPane).show_with(lambda width: panel_rows(found, width))

    def action_more(self) -> None:
        """Compare ten times as many traces."""
        self.limit *= 10
        self.run_worker(self._load(), group="load", exclusive=True)


def panel_rows(found: PanelAgreement, width: int) -> Rows:
    """Return alpha by behaviour, and the pairs with kappa of presence and F1 of spans."""
    rows: Rows = [[(" Krippendorff's alpha", "strong"), ("  1 agreement, 0 chance; 95 % over problems", "dim")]]
    titles = f"{fit('', 23)}{'counts':>7} {'95 %':>12} {'presence':>9} {'95 %':>12} {'traces':>7}"
    rows.append([(titles, "dim")])
    for behavior, one in found.counts.items():
        seen = found.presence[behavior]
        cells = f"{format_figure(one.alpha):>7} {format_interval(one.interval):>12} {format_figure(seen.alpha):>9}"
        rows.append([*behavior_label(behavior), (f"{cells} {format_interval(seen.interval):>12} {one.traces:>7,}", "")])
    rows += [[], [(" Pairs", "strong"), ("  kappa of presence / F1 of spans, by behaviour", "dim")]]
    behaviors = list(found.counts)
    room = max(10, min(_NAME, (width - 4 - 12 * len(behaviors)) // 2 - 2))
    head = "".join(f"{BEHAVIOR_LETTERS[name]:>11} " for name in behaviors)
    rows.append([(f"  {fit('', 2 * room + 3)}{head}", "dim")])
    pairs = {(one.first, one.second): None for one in found.pairs}
    figures = {(one.first, one.second, one.behavior): one for one in found.pairs}
    for first, second in pairs:
        each = [figures[first, second, behavior] for behavior in behaviors]
        cells = "".join(f"{f'{format_figure(one.kappa)}/{format_figure(one.f1)}':>11} " for one in each)
        names = f"{fit(printable_line(first, 60), room)} – {fit(printable_line(second, 60), room)}"
        rows.append([(f"  {names}", "" if any(one.traces for one in each) else "dim"), (cells, "")])
    return rows
