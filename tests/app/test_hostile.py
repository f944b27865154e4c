"""Text that tries to break a screen reaches each of them and stays text."""

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.screen import Screen

from cogtui.app import application
from cogtui.app.experiments.matrix_data import build_matrix, count_states
from cogtui.app.rendering.pairing import pair_segments
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.themes import theme_variables
from cogtui.app.rollout.rollout_columns import rollout_cells, snippet_parts
from cogtui.app.rollout.span_list import span_parts
from cogtui.app.rollout.trace_data import JudgeRunView
from cogtui.app.rollout.trace_facts import head_rows, legend_parts, minimap_parts, problem_rows, span_rows
from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.shell.dialogs import ConfirmScreen
from cogtui.app.stages.facts import stage_rows
from cogtui.app.traces.compare.compare_facts import side_parts, strip_parts, summary_parts
from cogtui.app.traces.compare.pair_text import PairSide, PairText
from cogtui.app.traces.list.rollout_list import RolloutList
from cogtui.store import Cursor, RolloutDetail, RolloutRow
from cogtui.store.values.types import Snippet
from jobs.planning.cell import Cell
from jobs.planning.experiments import Experiment
from jobs.recipe.labels import Label
from jobs.state.types import AttemptState, StageState
from pipelines.folder import Progress
from pipelines.records import JudgeRun, LabelledSpan, countdown_fields
from tests.app.conftest import MOMENT, Builder
from tests.app.driving import press, running, settle
from tests.app.strategies import NASTY, hostile_text, patient, texts_with_spans

ALL = "".join(NASTY)


def assert_printable(parts: list[Part]) -> None:
    for text, _ in parts:
        bad = [char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
        assert not bad, (text, bad)
        assert not set(text) & set("\u202e\u2066\u200b\u200d\ufe0f")


def assert_screen_is_plain(app: App[None]) -> None:
    """What the compositor would send holds no control character and no surrogate, and no link or action."""
    screen: Screen[object] = app.screen
    for strip in screen._compositor.render_strips():
        for text, style, control in strip:
            assert not control
            assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cs")], text
            assert style is None or not style.link
            assert style is None or "@click" not in style.meta


def top(app: App[None]) -> str:
    """Class of the screen on top."""
    return type(app.screen).__name__


def row(text: str) -> RolloutRow:
    return RolloutRow(
        id="ab", stage="ppo-1", kind="ppo", condition=text, seed=1, step=0, split=text, problem_id=text, sample=0,
        **countdown_fields((3, 5, 4), 32), reward=1.0, correct=True, finish_reason="stop", n_tokens=3, length=len(text),
        counts=(1, None, 0, 0), judge="r", judged="partial", unaligned=1, noted=True, cursor=Cursor(()), serial=1,
    )  # fmt: skip


@patient
@given(hostile_text)
def test_rows_made_of_hostile_text_are_printable(text: str) -> None:
    attempt = AttemptState(
        number=1, path=text, cluster="local", state="failed", evidence="exit.json", job_id=text, submitted=MOMENT,
        host=text, pid=1, code=1, signal=None, reason=text, remedy=text,
    )  # fmt: skip
    stage = StageState(
        key="ppo-1", kind="ppo", name=text, labels={text: text, "condition": text}, state="failed",
        evidence="exit.json", age_s=3.0, reason=text, remedy=text, attempts=(attempt,),
        progress=Progress(done=1, total=2, unit=text, message=text, values={text: 1.0}, time=0.0),
    )  # fmt: skip
    for parts in stage_rows(stage, None, 60, attempts=True):
        assert_printable(parts)
    cell = Cell(labels={"condition": text}, stages={text: "ppo-1"})
    experiment = Experiment(name=text, time=MOMENT, recipe_path=text, recipe=text, cells=(cell, cell))
    assert count_states(experiment, {"ppo-1": stage}) == {"failed": 1}
    assert build_matrix(experiment).keys == (("ppo-1",), ("ppo-1",))
    assert_printable(list(rollout_cells(row(text)).values()))
    lost = LabelledSpan(behavior="subgoal", quote=text, alignment="unaligned", why=text)
    trace = JudgeRunView(JudgeRun(id="r", judge=text, model=text, prompt_sha256="0" * 64), (), (lost,), (), False)
    detail = RolloutDetail(
        row=row(text), prompt=text, completion=text, answer=text, meta={text: text}, judge_runs=(), judgements=(),
        note=text, tags=(text,), source=text,
    )  # fmt: skip
    for parts in [
        *head_rows(detail, "1 of 2"), legend_parts(trace), minimap_parts(len(text), (), (0, 1), 30),
        *span_rows(lost, trace, 50), *problem_rows(detail, None, None, 50), span_parts(lost, 60),
    ]:  # fmt: skip
        assert_printable(parts)


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("question", ["How many?", "How many apples are left? " * 8, "有几个苹果？" * 20])
def test_a_long_problem_does_not_push_the_length_off_the_screen(question: str, width: int) -> None:
    about = replace(row("x"), task="math", problem={"question": question, "answer": "72"}, n_tokens=None, length=1234)
    detail = RolloutDetail(
        row=about, prompt=question, completion="x", answer="72", meta={}, judge_runs=(), judgements=(), note="",
        tags=(), source="",
    )  # fmt: skip
    line = "".join(part for part, _ in head_rows(detail, "1 of 2", width)[1])
    assert cell_len(line) <= width
    assert "answer 72  1,234 characters" in line
    summary = "".join(part for part, _ in summary_parts(about, about, pair_segments("One. Two.", "One."), False, width))
    assert cell_len(summary) <= width
    assert "1 the same, 0 changed ≠, 1 only in A <, 0 only in B >" in summary


class OneView(App[None]):
    """The trace widget alone, with the app's own styles."""

    CSS_PATH = Path(application.__file__).with_name("styles.tcss")

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme_variables(self.current_theme)

    def compose(self) -> ComposeResult:
        yield TraceText()


@patient
@given(hostile_text, hostile_text, st.integers(1, 60))
def test_the_lines_of_a_comparison_and_a_search_are_printable(text: str, other: str, width: int) -> None:
    trace = JudgeRunView(None, (), (), (), False)
    here = row(text)
    marks = ((0, min(3, len(text))),) if text else ()
    for parts in [
        side_parts(0, here, trace, width, active=True),
        summary_parts(here, row(other), pair_segments(text, other), False),
        strip_parts(1, len(text), len(text) + len(other), trace, (0, len(text)), width),
        snippet_parts(Snippet(text, marks, 0), width),
    ]:  # fmt: skip
        assert_printable(parts)
    assert sum(cell_len(part) for part, _ in snippet_parts(Snippet(text, marks, 0), width)) == width


class OnePair(App[None]):
    """The comparison alone, with the app's own styles."""

    CSS_PATH = Path(application.__file__).with_name("styles.tcss")

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme_variables(self.current_theme)

    def compose(self) -> ComposeResult:
        yield PairText()


@pytest.mark.parametrize("width", [70, 120])
@settings(patient, max_examples=6)
@given(st.lists(st.tuples(texts_with_spans(), texts_with_spans()), min_size=4, max_size=8))
async def test_the_comparison_shows_any_two_texts(
    width: int, cases: list[tuple[tuple[str, list[LabelledSpan]], tuple[str, list[LabelledSpan]]]]
) -> None:
    app = OnePair()
    async with app.run_test(size=(width, 20)) as pilot:
        view = app.query_one(PairText)
        for left, right in cases:
            view.show_pair(PairSide(*left), PairSide(*right), pair_segments(left[0], right[0]))
            acts: list[Callable[[], None]] = [view.action_first, view.action_toggle_raw, view.action_last]
            jumps: list[Callable[[], None]] = [partial(view.action_difference, 1), partial(view.jump, 1, None)]
            for act in [*acts, view.action_toggle_raw, *jumps]:
                act()
                await pilot.pause()
                assert_screen_is_plain(app)
                lines = range(view.line_count)
                assert all(cell_len(view.line_text(line)) <= view.text_width + 1 for line in lines)


@settings(patient, max_examples=10)
@given(st.lists(texts_with_spans(), min_size=6, max_size=12))
async def test_the_trace_view_shows_any_text_with_any_spans(cases: list[tuple[str, list[LabelledSpan]]]) -> None:
    app = OneView()
    async with app.run_test(size=(70, 20)) as pilot:
        view = app.query_one(TraceText)
        for text, spans in cases:
            view.show_trace(text, spans)
            acts: list[Callable[[], None]] = [view.action_first, view.action_toggle_raw, view.action_last]
            for act in [*acts, view.action_toggle_raw]:
                act()
                await pilot.pause()
                assert_screen_is_plain(app)
            if spans:
                view.go_to_span(len(spans) - 1)
                await pilot.pause()
                assert_screen_is_plain(app)


def hostile_workspace(builder: Builder, text: str) -> None:
    labels: dict[str, Label] = {"condition": text.replace("\ud800", "").replace("\udfff", ""), "seed": 1}
    ppo = builder.stage("ppo", "c1", labels, name="p[/b]po[@click=app.bell]")
    builder.failed(ppo, stderr=f"{ALL}\nRuntimeError: {text}\n".encode("utf-8", "replace").decode(), reason=text)
    end = [LabelledSpan(behavior="verification", start=0, end=len(text), quote=text)] if text else []
    lost = LabelledSpan(behavior="subgoal", quote=text, alignment="unaligned", score=0.0, why=text)
    builder.rollouts(ppo, [text, "x"], spans=[[*end, lost]])
    builder.experiment("hostile", [Cell(labels=labels, stages={"ppo[/]": ppo.key})])


@pytest.mark.parametrize(
    "text",
    [ALL, "[/] " + "漢" * 5000],
    ids=["all", "wide"],
)
async def test_every_screen_survives_a_hostile_workspace(builder: Builder, text: str) -> None:
    hostile_workspace(builder, text)
    async with running(builder.workspace, (90, 28)) as (app, pilot):
        assert_screen_is_plain(app)
        await press(pilot, "enter")
        assert top(app) == "LogScreen"
        assert_screen_is_plain(app)
        await press(pilot, "w", "right", "question_mark")
        assert_screen_is_plain(app)
        await press(pilot, "escape", "o")
        assert_screen_is_plain(app)
        await press(pilot, "escape", "2")
        assert_screen_is_plain(app)
        await press(pilot, "colon")
        assert_screen_is_plain(app)
        await press(pilot, "escape", "3")
        assert app.screen.query_one(RolloutList).line_count == 2
        assert_screen_is_plain(app)
        await press(pilot, "c")
        assert top(app) == "ChoiceScreen"
        assert_screen_is_plain(app)
        await press(pilot, "escape", "end", "enter")
        assert top(app) == "TraceScreen"
        assert_screen_is_plain(app)
        await press(pilot, "i", "]", "v", "y")
        assert_screen_is_plain(app)
        await press(pilot, "escape", "i", "e", "G")
        assert_screen_is_plain(app)
        await press(pilot, "escape", "home", "m", "end", "enter", "d")
        assert top(app) == "CompareScreen"
        assert_screen_is_plain(app)
        await press(pilot, "e", "d", "G")
        assert_screen_is_plain(app)
        await press(pilot, "escape", "escape", "b")
        assert top(app) == "ProblemsScreen"
        assert_screen_is_plain(app)
        await press(pilot, "v")
        assert_screen_is_plain(app)
        await press(pilot, "escape", "escape", "h")
        assert top(app) == "HistogramScreen"
        assert_screen_is_plain(app)
        await press(pilot, "escape", "o")
        assert_screen_is_plain(app)
        await press(pilot, "escape", "slash")
        await pilot.press(*"text:x*")
        await press(pilot, "enter")
        assert_screen_is_plain(app)
        await press(pilot, "4")
        assert_screen_is_plain(app)
        app.notify("x", markup=False)
        app.notify(text, markup=False)
        app.push_screen(ConfirmScreen(text, [text] * 20))
        await settle(pilot)
        assert_screen_is_plain(app)


async def test_one_line_of_five_megabytes(builder: Builder) -> None:
    ppo = builder.stage("ppo", "c1", {"condition": "x"})
    builder.rollouts(ppo, ["y" * 5_000_000], judge=False)
    async with running(builder.workspace, (90, 28)) as (app, pilot):
        await press(pilot, "3", "enter")
        assert top(app) == "TraceScreen"
        view = app.screen.query_one(TraceText)
        assert view.line_count > 50_000
        await press(pilot, "G")
        assert view.visible_part[1] == 5_000_000
        assert_screen_is_plain(app)


def test_no_widget_of_ours_takes_markup() -> None:
    """Static, Label and from_markup parse markup: none of them is used, and every notify says markup=False."""
    source = Path(__file__).parents[2] / "cogtui" / "app"
    for path in source.rglob("*.py"):
        text = path.read_text()
        assert "from_markup" not in text, path
        assert "Static(" not in text, path
        assert "Label(" not in text, path
        assert text.count(".notify(") == text.count("markup=False"), path
