"""Mode 4: the braille field, the plot of curves, and the way from a point to its rollouts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogtui.analysis.curves import Curve, CurvePoint
from cogtui.app.curves.curve_plot import make_series, plot_rows
from cogtui.app.curves.screen import CurvesScreen
from cogtui.app.curves.widget import CurveList, CurvePlot
from cogtui.app.rendering.plot import BrailleCanvas, PlotBounds, find_bounds, format_number
from cogtui.app.traces.list.rollout_list import RolloutList
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.app.widgets.text_rows import TextRows
from tests.app.conftest import Builder
from tests.app.driving import press, running, settle, visible_lines

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


def test_curves_are_told_apart_without_colour() -> None:
    series = make_series([curve(f"c{n}", [(0, n / 10, None), (9, n / 10, None)]) for n in range(10)], {})
    assert len({one.letter for one in series}) == 10
    assert len({(one.style, one.pattern) for one in series}) == 10
    text = "\n".join("".join(part for part, _ in row) for row in plot_rows(series, 60, 24))
    assert all(letter in text for letter in "abcdefghij")


def test_only_the_chosen_curve_has_its_band_and_only_where_there_is_an_interval() -> None:
    series = make_series(
        [curve("x", [(0, 0.5, 0.3), (5, 0.5, 0.3), (9, 0.5, None)]), curve("y", [(0, 0.1, 0.1), (9, 0.1, 0.1)])], {}
    )

    def filled(chosen: int) -> int:
        rows = plot_rows(series, 60, 20, chosen=chosen)
        return sum(0x2800 < ord(char) <= 0x28FF for row in rows for text, _ in row for char in text)

    assert filled(0) > filled(1)
    right_half = [row[2 + 45 :] for row in plot_rows(series, 60, 20, chosen=0)[1:-1]]
    shaded = [row for row in right_half if any(0x2800 < ord(text) <= 0x28FF for text, _ in row if len(text) == 1)]
    assert len(shaded) <= 3, "no interval at the last point, so no band towards it"


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


async def test_curves_show_means_intervals_and_what_is_missing(trained: Builder) -> None:
    async with running(trained.workspace, (100, 32)) as (app, pilot):
        await press(pilot, "4")
        assert isinstance(app.screen, CurvesScreen)
        names = [one.name for one in app.screen.series]
        assert names == ["all_strategies", "none"]
        assert "accuracy  train  at step 20" in app.screen.query_one("#summary", TextRows).text
        lines = visible_lines(app.screen.query_one(CurveList))
        assert "0.50" in lines[0]
        assert "1 seed, n 6" in lines[0]
        assert "2 seeds, n 14" in lines[1]
        assert "±0.00" in lines[1]
        plot = app.screen.query_one(CurvePlot).text
        assert "step 20" in plot
        await press(pilot, "m", "m", "m", "m")
        assert app.screen.measure == "verification"
        assert [one.name for one in app.screen.series] == ["none"], "what nobody judged has no point, not a zero"


async def test_a_point_opens_its_rollouts_and_esc_comes_back(trained: Builder) -> None:
    async with running(trained.workspace, (100, 32)) as (app, pilot):
        await press(pilot, "4", "down", "left", "enter")
        assert isinstance(app.screen, TracesScreen)
        rows = app.screen.query_one(RolloutList).rollouts
        assert {(row.condition, row.step) for row in rows} == {("none", 10)}
        assert len(rows) == 14
        await press(pilot, "escape")
        assert "at step 10" in app.screen.query_one("#summary", TextRows).text


async def test_published_curves_stand_behind_the_same_conditions(trained: Builder) -> None:
    async with running(trained.workspace, (100, 32)) as (app, pilot):
        await press(pilot, "4")
        screen = app.screen
        assert isinstance(screen, CurvesScreen)
        before = screen.query_one(CurvePlot).text
        await press(pilot, "b")
        assert "published, llama 3B" in screen.query_one("#summary", TextRows).text
        assert screen.query_one(CurvePlot).text != before
        await press(pilot, "b", "b")
        assert "published" not in screen.query_one("#summary", TextRows).text


async def test_no_rollouts_no_curves(builder: Builder) -> None:
    async with running(builder.workspace, (80, 24)) as (app, pilot):
        await press(pilot, "4")
        assert "no rollout here yet" in app.screen.query_one("#summary", TextRows).text
        await press(pilot, "s", "m", "b", "left", "enter")
        await settle(pilot)
        assert isinstance(app.screen, CurvesScreen)
