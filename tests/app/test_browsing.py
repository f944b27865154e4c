"""Beyond the plain list: problems, histograms, columns, views by name, words that are searched for."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cogtui.app.application import CogtuiApp
from cogtui.app.rollout.rollout_columns import COLUMNS, EVERY_COLUMN, chosen_columns
from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.shell.dialogs import AskScreen, ChoiceScreen
from cogtui.app.shell.list_query import ListQuery
from cogtui.app.traces.list.columns_screen import ColumnsScreen
from cogtui.app.traces.list.coverage import searched_text
from cogtui.app.traces.list.histogram_screen import HistogramBars, HistogramScreen, draw_bar
from cogtui.app.traces.list.problem_list import sparkline
from cogtui.app.traces.list.problems_screen import ProblemsScreen
from cogtui.app.traces.list.rollout_list import RolloutList
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.app.traces.reader.screen import TraceScreen
from cogtui.app.widgets.text_rows import TextRows
from cogtui.app.widgets.wrapped_text import WrappedText
from cogtui.store import Query, Store
from cogtui.store.user_data.views import View, read_views, save_view
from cogtui.store.values.fields import COLUMN_NAMES
from cogtui.store.values.types import Coverage, Snippet
from tests.app.conftest import Builder
from tests.app.driving import AppPilot, notices, press, running, settle, top, until, visible_lines
from tests.app.test_traces import SPANS, TEXT


@pytest.fixture
def problems(builder: Builder) -> Builder:
    """Forty problems at two steps; each second one is solved at both, and the first has spans."""
    folder = builder.stage("ppo", "c1", {"condition": "none", "seed": 1})
    builder.done(folder)
    for step in (0, 10):
        texts = [TEXT, *(f"plain {n} at {step}, perhaps" for n in range(39))]
        builder.rollouts(folder, texts, step=step, spans=[SPANS], stream=f"s{step}")
    return builder


async def to_list(app: CogtuiApp, pilot: AppPilot) -> TracesScreen:
    await press(pilot, "3")
    return top(app, TracesScreen)


def summary(screen: TracesScreen | ProblemsScreen | HistogramScreen) -> str:
    return screen.query_one("#summary", TextRows).text


def sorted_by(screen: TracesScreen) -> str:
    return screen.list_query.sort.field


async def type_filter(pilot: AppPilot, text: str) -> None:
    await press(pilot, "slash")
    await pilot.press(*text)
    await press(pilot, "enter")


async def test_problems_have_best_mean_worst_and_the_way_over_the_steps(problems: Builder) -> None:
    async with running(problems.workspace, (100, 30)) as (app, pilot):
        await to_list(app, pilot)
        await press(pilot, "b")
        screen = top(app, ProblemsScreen)
        assert "40 problems  by mean ↑" in summary(screen)
        assert [group.mean for group in screen.view.groups[:3]] == [0.1, 0.1, 0.1], "the hardest first"
        await press(pilot, "S")
        first = visible_lines(screen.view)[0]
        assert first.split() == ["p0", "3", "5", "4", "→", "32", "2", "1.00", "1.00", "1.00", "██"]
        await press(pilot, "down", "enter")
        rollouts = top(app, TracesScreen)
        assert rollouts.path == "problem p10"
        assert {row.problem_id for row in rollouts.view.rollouts} == {"p10"}
        assert rollouts.view.line_count == 2
        await press(pilot, "escape", "escape")
        top(app, TracesScreen)


async def test_problems_keep_the_filter_and_page_both_ways(problems: Builder) -> None:
    folder = problems.workspace.folder("ppo-0000000000c1")
    problems.rollouts(folder, [f"many {n}" for n in range(300)], step=20, stream="s20")
    async with running(problems.workspace, (100, 30)) as (app, pilot):
        screen = await to_list(app, pilot)
        screen.change(ListQuery(typed="step:20"))
        await settle(pilot)
        await press(pilot, "b")
        groups = top(app, ProblemsScreen)
        assert "step:20" in summary(groups)
        await press(pilot, "end")
        assert groups.view.group is not None
        assert groups.view.group.mean == 1.0
        last = groups.view.group.problem_id
        seen = {last}
        for _ in range(299):
            await pilot.press("up")
            await pilot.pause()
            seen.add(groups.view.group.problem_id)
            if groups.view.cursor < 60:
                await settle(pilot)
        assert len(seen) == 300
        assert groups.view.group.mean == 0.1
        await press(pilot, "home")
        assert groups.view.cursor == 0


async def test_a_bar_is_a_filter(problems: Builder) -> None:
    folder = problems.workspace.folder("ppo-0000000000c1")
    problems.rollouts(folder, ["not judged"], step=20, stream="s20", judge=False)
    async with running(problems.workspace, (100, 30)) as (app, pilot):
        screen = await to_list(app, pilot)
        await type_filter(pilot, "step:0 OR step>=10")
        await press(pilot, "h")
        histogram = top(app, HistogramScreen)
        lines = visible_lines(histogram.query_one(HistogramBars))
        assert [line.split()[0] for line in lines] == ["0.1", "1"]
        assert lines[1].split()[-2:] == ["41", "50.6%"]
        await press(pilot, "h", "h")
        assert histogram.field == "verification"
        lines = visible_lines(histogram.query_one(HistogramBars))
        assert [line.split()[0] for line in lines] == ["0", "1", "2", "no"]
        assert lines[1].split() == ["1", "0", "0.0%"], "what is not there is a line without a bar"
        assert "1 without a value" in summary(histogram)
        await press(pilot, "down", "enter")
        assert top(app, HistogramScreen) is histogram, "an empty line filters nothing"
        await press(pilot, "down", "enter")
        assert top(app, TracesScreen) is screen
        assert screen.list_query.typed == "(step:0 OR step>=10) verification=2"
        assert {row.counts[0] for row in screen.view.rollouts} == {2}


async def test_columns_are_chosen_moved_and_kept(problems: Builder) -> None:
    async with running(problems.workspace, (80, 24)) as (app, pilot):
        screen = await to_list(app, pilot)
        await press(pilot, "o")
        dialog = top(app, ColumnsScreen)
        for _ in range(len(dialog.lines.chosen) - 2):
            await press(pilot, "space", "down")
        await press(pilot, "J", "enter")
        assert screen.view.columns == ("noted", "id")
        assert read_views().columns == screen.view.columns
    async with running(problems.workspace, (80, 24)) as (app, pilot):
        screen = await to_list(app, pilot)
        assert screen.view.rollout is not None
        assert screen.view.rollout.id in visible_lines(screen.view)[0]
        await press(pilot, "o", "u")
        assert screen.view.columns == ()
        assert read_views().columns == ()


async def test_sorting_by_the_columns_seen(problems: Builder) -> None:
    async with running(problems.workspace, (100, 30)) as (app, pilot):
        screen = await to_list(app, pilot)
        screen.view.show_columns(("problem", "reward", "verification"))
        await press(pilot, "greater_than_sign")
        assert sorted_by(screen) == "problem"
        await press(pilot, "less_than_sign")
        assert sorted_by(screen) == "verification"
        assert [row.counts[0] for row in screen.view.rollouts[:3]] == [2, 2, 0]
        assert " V↓" in screen.query_one("#titles", TextRows).text


async def test_a_view_is_kept_by_name_and_shown_again(problems: Builder) -> None:
    async with running(problems.workspace, (100, 30)) as (app, pilot):
        screen = await to_list(app, pilot)
        await type_filter(pilot, "correct:true")
        screen.view.show_columns(("problem", "reward"))
        await press(pilot, "S", "v", "enter")
        top(app, AskScreen)
        await press(pilot, "enter")
        assert "needs a name" in top(app, AskScreen).query_one("#ask-help", WrappedText).text
        await pilot.press(*"solved [b]")
        await press(pilot, "enter")
        kept = read_views().view("solved [b]")
        assert kept == View(name="solved [b]", filter="correct:true", sort="step", columns=("problem", "reward"))
        await press(pilot, "backspace", "S", "v")
        choices = top(app, ChoiceScreen).choices
        assert choices[0].startswith("solved [b]   correct:true")
        await press(pilot, "home", "enter")
        assert screen.list_query.typed == "correct:true"
        assert not screen.list_query.sort.descending
        assert {row.correct for row in screen.view.rollouts} == {True}
        assert screen.view.columns == ("problem", "reward")
        await press(pilot, "v", "end", "enter", "enter")
        assert read_views().views == ()


async def test_a_view_of_problems_opens_problems(problems: Builder) -> None:
    async with running(problems.workspace, (100, 30)) as (app, pilot):
        await to_list(app, pilot)
        await press(pilot, "b", "S", "v", "enter")
        await pilot.press(*"easy")
        await press(pilot, "enter")
        assert read_views().view("easy").groups == "-mean"
        await press(pilot, "escape", "v", "home", "enter")
        screen = top(app, ProblemsScreen)
        assert (screen.sort, screen.descending) == ("mean", True)


async def test_a_file_of_views_that_is_none_is_named_and_left_alone(problems: Builder) -> None:
    path = Path(os.environ["COGTUI_CONFIG"]) / "views.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 1, "views": [{"name": "x", "filter": "stepp:3"}]}))
    before = path.read_text()
    async with running(problems.workspace, (100, 30)) as (app, pilot):
        screen = await to_list(app, pilot)
        assert screen.view.line_count == 80, "the list opens all the same"
        await press(pilot, "v")
        assert top(app, TracesScreen) is screen
        notes = notices(app)
        assert any("views.json cannot be used" in note and "stepp:3" in note for note in notes)
        await press(pilot, "o", "enter")
        assert path.read_text() == before


async def test_words_searched_for_are_shown_where_they_stand(problems: Builder) -> None:
    async with running(problems.workspace, (80, 24)) as (app, pilot):
        screen = await to_list(app, pilot)
        await type_filter(pilot, 'text:"try again"')
        await until(pilot, lambda: not screen.view.without_snippet())
        line = visible_lines(screen.view)[0]
        assert "so let me try again. First" in line
        assert len(line) <= 79
        marked = [text for text, styles_ in screen.view.line_parts(0, 79) if "match" in styles_]
        assert marked == ["try again"]
        assert "1 of 2 rollouts" in summary(screen)
        assert "searched 80, all there are" in summary(screen)
        assert "where it is found" in screen.query_one("#titles", TextRows).text
        await press(pilot, "backspace")
        assert "where it is found" not in screen.query_one("#titles", TextRows).text
        assert "searched" not in summary(screen)


async def test_snippets_are_looked_up_for_what_is_seen_only(problems: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    look_up = Store.snippets

    def snippets(store: Store, query: Query, ids: Iterable[str], **options: Any) -> dict[str, Snippet]:
        wanted = list(ids)
        asked.update(wanted)
        return look_up(store, query, wanted, **options)

    monkeypatch.setattr(Store, "snippets", snippets)
    async with running(problems.workspace, (80, 24)) as (app, pilot):
        screen = await to_list(app, pilot)
        await type_filter(pilot, "text:perhaps")
        await until(pilot, lambda: not screen.view.without_snippet())
        view = screen.query_one(RolloutList)
        assert len(asked) <= 24 < view.line_count
        known = len(asked)
        await press(pilot, "end")
        await until(pilot, lambda: not screen.view.without_snippet())
        assert "perhaps" in visible_lines(view)[-1]
        assert known < len(asked) <= 48


def test_a_search_says_what_it_could_not_see() -> None:
    coverage = Coverage(
        rollouts=1000, judgements=0, files=1, bytes_read=1_000_000, bytes_total=3_000_000, bad_lines=0, orphans=0,
        newest=1000,
    )  # fmt: skip
    assert searched_text(coverage) == "searched 1,000, about 2,000 not indexed yet"
    assert searched_text(None) == ""


def test_every_column_has_a_name_that_views_know() -> None:
    assert set(EVERY_COLUMN) == set(COLUMN_NAMES)


def test_chosen_columns_give_way_from_the_end_in_an_order_of_ones_own() -> None:
    usual = chosen_columns(("step", "problem", "reward"), searched=False)
    assert [column.rank for column in usual] == [0, 1, 0, 0]
    own = chosen_columns(("reward", "step", "id"), searched=False)
    assert [(column.name, column.rank) for column in own] == [("reward", 0), ("step", 1), ("id", 2), ("noted", 0)]
    assert chosen_columns((), searched=False) == list(COLUMNS)


def test_sparklines_go_from_nothing_to_all() -> None:
    assert sparkline([(0, 0.0), (10, 0.5), (20, 1.0)], 10) == "▁▅█"
    assert sparkline([(step, 1.0) for step in range(100)], 7) == "█" * 7
    assert sparkline([], 7) == ""
    assert sparkline([(0, -1.0), (1, 3.0)], 7) == "▁█"


def test_bars_show_the_least_that_is_there() -> None:
    assert draw_bar(1.0, 4) == "████"
    assert draw_bar(0.5, 3) == "█▌"
    assert draw_bar(1e-9, 30) == "▏"
    assert draw_bar(0.0, 30) == ""


def test_views_are_checked_when_made() -> None:
    for wrong in ({"filter": "step>"}, {"sort": "colour"}, {"columns": ("colour",)}, {"groups": "colour"}):
        with pytest.raises(ValueError, match=r"colour|step>"):
            View(name="x", **wrong)
    save_view(View(name="b"))
    save_view(View(name="a", filter="correct:true"))
    save_view(View(name="b", sort="-reward"))
    assert [(view.name, view.sort) for view in read_views().views] == [("a", "-step"), ("b", "-reward")]


async def test_n_goes_from_place_to_place_and_on_into_other_rollouts(problems: Builder) -> None:
    async with running(problems.workspace, (100, 30)) as (app, pilot):
        screen = await to_list(app, pilot)
        await type_filter(pilot, "text:again OR text:works")
        await press(pilot, "enter")
        trace = top(app, TraceScreen)
        first = trace.rollout.id
        text = trace.query_one(TraceText)
        assert "2 found" in trace.query_one("#legend", TextRows).text
        marked = [part for line in (1, 2) for part, styles_ in text.line_parts(line, 99) if "match" in styles_]
        assert marked == ["again", "works"]

        def here() -> str:
            return "".join(
                part
                for line in range(text.line_count)
                for part, styles_ in text.line_parts(line, 99)
                if {"match", "current"} <= set(styles_)
            )

        await press(pilot, "n")
        assert here() == "again"
        await press(pilot, "n")
        assert here() == "works"
        await press(pilot, "n")
        assert trace.rollout.id == screen.view.rollouts[1].id != first
        assert here() == "again", "the first place of the next rollout"
        await press(pilot, "N")
        assert trace.rollout.id == first
        assert here() == "works", "the last place of the one before"


async def test_words_can_be_searched_while_reading(problems: Builder) -> None:
    async with running(problems.workspace, (100, 30)) as (app, pilot):
        await to_list(app, pilot)
        await press(pilot, "enter", "slash")
        await pilot.press(*"perhaps")
        await press(pilot, "enter")
        trace = top(app, TraceScreen)
        first = trace.rollout.id
        assert "1 found" in trace.query_one("#legend", TextRows).text
        await press(pilot, "n")
        assert trace.rollout.id != first
        assert "1 found" in trace.query_one("#legend", TextRows).text
        await press(pilot, "slash", "enter")
        assert "found" not in trace.query_one("#legend", TextRows).text


async def test_tokens_are_shown_by_the_runs_own_tokenizer(problems: Builder) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    async with running(problems.workspace, (100, 30)) as (app, pilot):
        await to_list(app, pilot)
        await type_filter(pilot, "subgoal>=1")
        await press(pilot, "enter", "T")
        text = top(app, TraceScreen).query_one(TraceText)
        assert not text.ranges_of("token")
        assert any("nor its inputs have a tokenizer.json" in notice for notice in notices(app))
        folder = problems.workspace.folder("ppo-0000000000c1").artifacts / "model"
        folder.mkdir()
        made.save(str(folder / "tokenizer.json"))
        await press(pilot, "T")
        assert [TEXT[a:b] for a, b in text.ranges_of("token")[:3]] == ["3", "4", "7"]
        assert [part for part, styles_ in text.line_parts(0, 99) if "second" in styles_] == ["3", "4", "7"]
        await press(pilot, "T")
        assert not text.ranges_of("token")
