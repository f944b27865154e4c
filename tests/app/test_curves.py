"""Mode 4: the braille field, the plot of curves, and the way from a point to its rollouts."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input

from cogtui.analysis.curves import Curve, CurvePoint
from cogtui.app.curves.chart import ChartLine, ChartView, chart_rows, make_lines
from cogtui.app.curves.chart_grid import ChartGrid
from cogtui.app.curves.legend import CurveLegend
from cogtui.app.curves.screen import CurvesScreen
from cogtui.app.rendering.plot import (
    BrailleCanvas,
    PlotBounds,
    decimate,
    find_bounds,
    format_number,
    format_tick,
    nice_ticks,
)
from cogtui.app.shell.dialogs import AskScreen, ChoiceScreen
from cogtui.app.traces.list.rollout_list import RolloutList
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.app.widgets.bars import TopBar
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import open_store
from cogtui.store.user_data.annotations import append_annotations, new_annotation
from jobs.planning.cell import Cell
from pipelines.records import LabelledSpan, Metric, Rollout
from pipelines.streams import read_stream, strip_envelope
from tests.app.conftest import MOMENT, Builder
from tests.app.driving import notices, press, running, settle, top, until

UNIT = PlotBounds(0.0, 1.0, 0.0, 1.0)
numbers = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf]))


def text_of(field: BrailleCanvas) -> list[str]:
    return ["".join(text for text, _ in row) for row in field.rows()]


def test_a_rising_line_goes_from_corner_to_corner() -> None:
    field = BrailleCanvas(4, 2, UNIT)
    field.line([(0, 0), (1, 1)], "series-0")
    low, high = text_of(field)[1], text_of(field)[0]
    assert low[0] != " "
    assert low[3] == " "
    assert high[3] != " "
    assert high[0] == " "


def test_a_missing_value_is_a_gap() -> None:
    field = BrailleCanvas(9, 1, UNIT)
    field.line([(0.0, 0.5), (0.2, 0.5), (0.5, math.nan), (0.8, 0.5), (1.0, 0.5)], "series-0")
    assert text_of(field)[0][4] == " "
    assert text_of(field)[0][0] != " "
    assert text_of(field)[0][8] != " "


def test_a_peak_among_many_points_is_not_lost() -> None:
    points = [(n / 10_000, 1.0 if n == 5_003 else 0.0) for n in range(10_001)]
    field = BrailleCanvas(20, 5, UNIT)
    field.line(points, "series-0")
    assert text_of(field)[0].strip() != ""


@given(st.integers(1, 30), st.integers(1, 12), st.lists(st.tuples(numbers, numbers), max_size=12))
def test_any_points_fill_the_field_and_nothing_else(width: int, height: int, points: list[tuple[float, float]]) -> None:
    field = BrailleCanvas(width, height, find_bounds(points))
    field.line(points, "series-0", "dashed")
    rows = text_of(field)
    assert len(rows) == height
    assert all(len(row) == width for row in rows)
    assert all(char == " " or 0x2800 < ord(char) <= 0x28FF for row in rows for char in row)
    if any(math.isfinite(x) and math.isfinite(y) for x, y in points):
        solid = BrailleCanvas(width, height, find_bounds(points))
        solid.line(points, "series-0")
        assert "".join(text_of(solid)).strip() != ""


def curve(condition: str, values: list[tuple[int, float, float | None]]) -> Curve:
    points = tuple(
        CurvePoint(step, mean, None if half is None else mean - half, None if half is None else mean + half, 2, 10, 0)
        for step, mean, half in values
    )
    return Curve(condition, "test", "accuracy", points)


def lines_of(*curves: Curve, view: ChartView = ChartView()) -> list[ChartLine]:  # noqa: B008
    return make_lines(curves, [one.name for one in curves], {}, view)


def chart_text(lines: list[ChartLine], width: int = 60, height: int = 20, **options: Any) -> list[str]:
    return ["".join(text for text, _ in row) for row in chart_rows(lines, width, height, **options)]


def test_curves_are_told_apart_without_colour() -> None:
    curves = [curve(f"c{n}", [(0, n / 10, None), (9, n / 10, None)]) for n in range(10)]
    lines = lines_of(*curves, view=ChartView(no_color=True))
    assert len({one.letter for one in lines}) == 10
    assert len({one.pattern for one in lines[:4]}) == 4
    assert len({one.style for one in lines_of(*curves)}) == 10
    text = "\n".join(chart_text(lines, 60, 24))
    assert all(letter in text for letter in "abcdefghij")


def test_only_the_chosen_curve_has_its_band_and_only_where_there_is_an_interval() -> None:
    lines = lines_of(
        curve("x", [(0, 0.5, 0.3), (5, 0.5, 0.3), (9, 0.5, None)]), curve("y", [(0, 0.1, 0.1), (9, 0.1, 0.1)])
    )

    def shaded(chosen: str) -> list[int]:
        rows = chart_rows(lines, 60, 20, chosen=chosen)
        return [y for y, row in enumerate(rows) if any(style == "faint" and text.strip() for text, style in row)]

    assert len(shaded("x")) > len(shaded("y")) > 0
    assert shaded("") == []
    rows = chart_rows(lines, 60, 20, chosen="x")
    ends = [
        sum(len(text) for text, _ in row[:index])
        for row in rows
        for index, (text, style) in enumerate(row)
        if style == "faint"
    ]
    assert max(ends) < 45, "no interval at the last point, so no band towards it"


def test_a_single_step_is_labelled_once_and_counts_are_not_below_zero() -> None:
    *rows, steps = chart_text(lines_of(curve("x", [(0, 0.0, None)])), 40, 12)
    assert steps.split("└")[1].split() == ["0"]
    assert not any("-" in row.split("┤")[0] for row in rows if "┤" in row)
    assert chart_text(lines_of(curve("x", [(250, 0.0, None)])), 40, 12)[-1].split("└")[1].split() == ["250"]


def test_ticks_are_round_and_cover_the_values() -> None:
    assert nice_ticks(0.03, 0.41, 5) == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert nice_ticks(0, 250, 6) == pytest.approx([0, 50, 100, 150, 200, 250])
    assert [format_tick(value, 2.5) for value in (0, 2.5, 5)] == ["0", "2.5", "5.0"]
    assert [format_tick(value, 5000) for value in (5000, 10_000)] == ["5000", "10k"]


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6), st.integers(2, 8))
def test_ticks_never_are_too_many_nor_leave_a_value_out(low: float, span: float, most: int) -> None:
    ticks = nice_ticks(low, low + span, most)
    assert 2 <= len(ticks) <= most
    assert ticks[0] <= low + 1e-6 * span
    assert ticks[-1] >= low + span - 1e-6 * span


def test_a_long_curve_keeps_its_peak_and_its_ends() -> None:
    xs = [float(step) for step in range(100_000)]
    ys = [0.0] * 100_000
    ys[50_003], ys[-1] = 1.0, 0.5
    kept = decimate(xs, ys, 0.0, 99_999.0, 80)
    assert len(kept) <= 4 * 80
    assert max(y for _, y in kept) == 1.0
    assert kept[0][1] == 0.0
    assert kept[-1][1] == 0.5


def test_a_missing_stretch_of_steps_is_a_gap() -> None:
    (whole,) = lines_of(curve("x", [(step, 0.5, None) for step in range(40)]))
    (torn,) = lines_of(curve("x", [(step, 0.5, None) for step in range(40) if not 10 <= step < 25]))
    assert len(whole.segments) == 1
    assert [(xs[0], xs[-1]) for xs, _ in torn.segments] == [(0, 9), (25, 39)]


def test_a_point_over_many_steps_shows_their_extremes() -> None:
    points = [CurvePoint(step, 0.5, None, None, 1, 50, 0, 0.0, 1.0 if step == 100 else 0.6) for step in (0, 50, 100)]
    (line,) = lines_of(Curve("x", "", "kl", tuple(points)))
    assert line.extent == PlotBounds(0, 100, 0.0, 1.0)


def test_smoothing_and_the_logarithmic_axis() -> None:
    values: list[tuple[int, float, float | None]] = [(step, float(step % 2), None) for step in range(20)]
    (smooth,) = lines_of(curve("x", values), view=ChartView(smoothing=0.9))
    ends = smooth.segments[-1][1][-4:]
    assert max(ends) - min(ends) < 0.2
    (log,) = lines_of(curve("x", [(0, 0.001, None), (1, 0.0, None), (2, 1000.0, None)]), view=ChartView(log_axis=True))
    assert [ys for _, ys in log.segments] == [[-3.0], [3.0]], "zero has no place: a gap"
    text = chart_text([log], view=ChartView(log_axis=True))
    assert text[0].lstrip().startswith("1000")


@pytest.mark.parametrize(
    ("value", "text"), [(0.417, "0.42"), (12.34, "12.3"), (350.4, "350"), (123_456, "123k"), (0, "0.00")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.fixture
def trained(builder: Builder) -> Builder:
    """Two conditions, two seeds for one of them, three steps."""
    for digits, condition, seed in (("c1", "none", 1), ("c2", "none", 2), ("c3", "all_strategies", 1)):
        folder = builder.stage("ppo", digits, {"condition": condition, "seed": seed})
        for step in (0, 10, 20):
            count = 4 + 2 * seed
            builder.rollouts(folder, ["words"] * count, step=step, judge=condition == "none", stream=f"s{step}")
    return builder


def grid_of(screen: CurvesScreen) -> ChartGrid:
    return screen.query_one(ChartGrid)


async def test_curves_show_means_intervals_and_what_is_missing(trained: Builder) -> None:
    async with running(trained.workspace, (100, 32)) as (app, pilot):
        await press(pilot, "4")
        screen = top(app, CurvesScreen)
        assert screen.names == ["all_strategies", "none"]
        grid = grid_of(screen)
        assert [one.title for one in grid.charts][:2] == ["accuracy, train", "reward, train"]
        legend = screen.query_one(CurveLegend)
        assert "step 20" in legend.text
        assert "all_strategies 0.50 1 seed, no interval, n 6" in legend.text
        await press(pilot, "down")
        assert "none 0.50 ±0.00 2 seeds, n 14" in legend.text
        assert "95 % interval" in screen.query_one("#summary", TextRows).text
        assert "accuracy, train" in grid.text
        verification = next(one for one in grid.charts if one.title.startswith("V verification"))
        assert [one.name for one in verification.lines] == ["none"], "what nobody judged has no point, not a zero"


async def test_a_point_opens_its_rollouts_and_esc_comes_back(trained: Builder) -> None:
    async with running(trained.workspace, (100, 32)) as (app, pilot):
        await press(pilot, "4", "down", "left", "enter")
        assert isinstance(app.screen, TracesScreen)
        rows = app.screen.query_one(RolloutList).rollouts
        assert {(row.condition, row.step) for row in rows} == {("none", 10)}
        assert len(rows) == 14
        await press(pilot, "escape")
        assert "step 10" in app.screen.query_one(CurveLegend).text


async def test_published_curves_stand_behind_the_same_conditions(trained: Builder) -> None:
    async with running(trained.workspace, (100, 32)) as (app, pilot):
        await press(pilot, "4")
        screen = top(app, CurvesScreen)
        before = grid_of(screen).text
        await press(pilot, "p")
        assert "published, llama 3B" in screen.query_one("#summary", TextRows).text
        assert grid_of(screen).text != before
        await press(pilot, "b", "b")
        assert "published" not in screen.query_one("#summary", TextRows).text


async def test_no_rollouts_no_curves(builder: Builder) -> None:
    async with running(builder.workspace, (80, 24)) as (app, pilot):
        await press(pilot, "4")
        assert "no rollout here yet" in app.screen.query_one("#summary", TextRows).text
        await press(pilot, "s", "m", "b", "left", "enter", "z", "e", "tab", "w", "g", "n", "o")
        await settle(pilot)
        assert isinstance(app.screen, CurvesScreen)


@pytest.fixture
def two_experiments(builder: Builder) -> Builder:
    """Two experiments with the same conditions and other figures, with metrics of training and evaluations."""
    for number, name in enumerate(("first", "second")):
        cells = []
        for place, condition in enumerate(("none", "all_strategies")):
            for seed in (1, 2):
                labels = {"condition": condition, "seed": seed}
                folder = builder.stage("ppo", f"{number}{place}{seed}", labels)
                level = 0.1 + 0.4 * number + 0.1 * place
                with folder.stream("metrics", "eval") as writer:
                    writer.append(
                        Metric(step=step, values={"accuracy": level + step / 1000, "length": 20.0}) for step in (0, 20)
                    )
                with folder.stream("metrics", "train") as writer:
                    writer.append(
                        Metric(step=step, values={"reward": level, "kl": step / 100, "strange": 1.0})
                        for step in range(20)
                        if not 5 <= step < 12
                    )
                builder.rollouts(folder, ["words"] * 4, step=20, stream="s20")
                cells.append(Cell(labels=labels, stages={"ppo": folder.key}))
        builder.experiment(name, cells, MOMENT + number)
    return builder


async def test_one_experiment_is_shown_and_two_are_never_spliced(two_experiments: Builder) -> None:
    async with running(two_experiments.workspace, (160, 48)) as (app, pilot):
        await press(pilot, "4")
        screen = top(app, CurvesScreen)
        grid = grid_of(screen)
        assert list(screen.experiments) == ["second"]
        assert "second" in screen.query_one(TopBar).render_line(0).text
        assert [one.title for one in grid.charts][:4] == [
            "test accuracy", "reward, training", "response length, tokens", "V verification a trace, train",
        ]  # fmt: skip
        assert "KL to the base" in [one.title for one in grid.charts]
        assert "strange, train" not in [one.title for one in grid.charts], "offered under m, not shown"
        accuracy = grid.charts[0].lines
        assert {one.name: round(one.curve.points[0].mean, 3) for one in accuracy} == {
            "all_strategies": 0.6,
            "none": 0.5,
        }
        kl = next(one for one in grid.charts if one.title == "KL to the base")
        assert len(kl.lines[0].segments) == 2, "steps without a record are a gap"
        await press(pilot, "n")
        assert list(screen.experiments) == ["first"]
        assert {round(one.curve.points[0].mean, 3) for one in grid.charts[0].lines} == {0.1, 0.2}
        assert app.context.experiment == "first"
        await press(pilot, "O")
        assert isinstance(app.screen, ChoiceScreen)
        await press(pilot, "home", "enter")
        assert list(screen.experiments) == ["first", "second"]
        assert len(screen.names) == 4
        assert len({(one.letter, one.style) for one in grid.charts[0].lines}) == 4


async def test_enter_opens_the_rollouts_of_that_experiment_alone(two_experiments: Builder) -> None:
    async with running(two_experiments.workspace, (160, 48)) as (app, pilot):
        await press(pilot, "4", "end", "enter")
        rows = top(app, TracesScreen).query_one(RolloutList).rollouts
        assert {row.stage for row in rows} == {"ppo-000000000101", "ppo-000000000102"}


async def test_a_point_of_test_accuracy_opens_test_rollouts_alone(
    two_experiments: Builder,
) -> None:
    folder = two_experiments.workspace.folder("ppo-000000000101")
    trained = [row for row in read_stream(folder.path, "rollouts") if row["step"] == 20]
    with folder.stream("rollouts", "eval") as writer:
        writer.append(
            Rollout.model_validate({**strip_envelope(row), "id": f"t{row['id']}", "split": "test"})
            for row in trained[:3]
        )
    async with running(two_experiments.workspace, (160, 48)) as (app, pilot):
        await press(pilot, "4", "end", "enter")
        rows = top(app, TracesScreen).query_one(RolloutList).rollouts
        assert [(row.split, row.stage) for row in rows] == [("test", folder.key)] * 3


async def test_zoom_measures_and_pages(two_experiments: Builder) -> None:
    async with running(two_experiments.workspace, (80, 24)) as (app, pilot):
        await press(pilot, "4")
        screen = top(app, CurvesScreen)
        grid = grid_of(screen)
        assert len(grid.page()) == 4
        await press(pilot, "tab", "tab", "tab", "tab")
        assert grid.page().start == 4, "Tab past the last chart shows the next page"
        await press(pilot, "z")
        assert len(grid.page()) == 1
        assert grid.chart is not None
        assert grid.chart.title in grid.text
        await press(pilot, "escape")
        assert len(grid.page()) > 1
        await press(pilot, "m")
        choices = top(app, ChoiceScreen).choices
        await press(pilot, "end", "enter")
        assert "strange" in choices[-1]
        assert any("strange" in one.title for one in grid.charts)


@pytest.mark.parametrize("ending", ["svg", "png", "csv"])
async def test_a_chart_is_exported(two_experiments: Builder, tmp_path: Path, ending: str) -> None:
    if ending == "png":
        pytest.importorskip("matplotlib")
    path = tmp_path / f"figure.{ending}"
    async with running(two_experiments.workspace, (120, 36)) as (app, pilot):
        await press(pilot, "4", "e")
        dialog = top(app, AskScreen)
        dialog.query_one(Input).value = str(path)
        await press(pilot, "enter")
        await until(pilot, path.exists)
        assert any(str(path) in notice for notice in notices(app))
    written = path.read_bytes()
    if ending == "csv":
        rows = list(csv.DictReader(written.decode().splitlines()))
        assert [(row["group"], row["step"], row["seeds"]) for row in rows][:2] == [
            ("all_strategies", "0", "2"), ("all_strategies", "20", "2"),
        ]  # fmt: skip
        assert float(rows[0]["mean"]) == pytest.approx(0.6)
    else:
        assert written.startswith(b"<svg" if ending == "svg" else b"\x89PNG")


async def test_a_click_moves_the_cursor_and_a_double_click_zooms(two_experiments: Builder) -> None:
    async with running(two_experiments.workspace, (120, 36)) as (app, pilot):
        await press(pilot, "4")
        screen = top(app, CurvesScreen)
        await pilot.click(ChartGrid, offset=(10, 4))
        await settle(pilot)
        assert screen.step == 0
        await pilot.click(ChartGrid, offset=(50, 4), times=2)
        await settle(pilot)
        assert grid_of(screen).zoomed
        assert grid_of(screen).focused_chart == 1


def test_a_hundred_thousand_steps_are_read_as_two_thousand_points_with_their_extremes(builder: Builder) -> None:
    folder = builder.stage("ppo", "c1", {"condition": "none", "seed": 1})
    with folder.stream("metrics", "train") as writer:
        writer.append(Metric(step=step, values={"kl": 9.0 if step == 70_001 else 0.1}) for step in range(100_000))
    with open_store(builder.workspace) as store:
        store.ingest()
        rows = store.metric_steps(folder.key, "metrics-train", ["kl"])
        assert store.metric_names([folder.key]) == {("metrics-train", "kl")}
    assert len(rows) == 2000
    assert sum(row.steps for row in rows) == 100_000
    assert max(row.high for row in rows) == 9.0
    assert rows[0].step < rows[-1].step


async def test_points_that_people_labelled_are_corrected(builder: Builder) -> None:
    text = "No. No."
    span = [LabelledSpan(behavior="verification", start=0, end=2, quote="No")]
    both = [*span, LabelledSpan(behavior="verification", start=4, end=6, quote="No")]
    annotations = []
    for digits, seed in (("c1", 1), ("c2", 2)):
        folder = builder.stage("ppo", digits, {"condition": "none", "seed": seed})
        for step in (0, 10, 20):
            made = builder.rollouts(folder, [text] * 12, step=step, spans=[span] * 12, stream=f"s{step}")
            labelled = {0: made[:2], 10: made[:6], 20: []}[step]
            annotations += [new_annotation(one.id, text, "ann@desk", spans=tuple(both), done=True) for one in labelled]
    append_annotations(builder.workspace, annotations)
    async with running(builder.workspace, (100, 32)) as (app, pilot):
        await press(pilot, "4")
        screen = top(app, CurvesScreen)
        grid, legend = grid_of(screen), screen.query_one(CurveLegend)
        summary = screen.query_one("#summary", TextRows)
        while grid.chart is None or not grid.chart.title.startswith("V verification"):
            await press(pilot, "tab")
        await press(pilot, "z")
        (line,) = grid.chart.lines
        points = {point.step: point for point in line.curve.points}
        assert points[10].mean == 1.0
        assert points[10].corrected is not None
        assert points[10].corrected.mean == 2.0  # people see twice what the judge sees
        assert (points[10].labels, points[0].labels, points[20].labels) == (12, 4, 0)
        assert points[0].corrected is None  # four labels
        assert "corrected by labels" in summary.text
        assert "labels" not in legend.text
        await press(pilot, "left")
        assert "1.00 ±0.00 ◆ 2.00 ±" in legend.text
        assert "12 labels" in legend.text
        assert "◆" in grid.text
        await press(pilot, "left")
        assert "4 of 5 labels" in legend.text
        await press(pilot, "c")
        assert "◆" not in grid.text
        assert "labels" not in legend.text + summary.text
        await press(pilot, "c")
        assert "◆" in grid.text
