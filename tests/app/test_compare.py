"""Two rollouts beside each other: what is paired with what, and how the keys move each side."""

from dataclasses import replace

import pytest

from cogtui.app.application import CogtuiApp
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.list_query import ListQuery
from cogtui.app.traces.compare.pair_text import PairText
from cogtui.app.traces.compare.screen import CompareScreen
from cogtui.app.traces.compare.siblings import choose_partner, find_neighbour
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.app.traces.reader.screen import TraceScreen
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import Cursor, RolloutRow
from pipelines.records import countdown_fields
from tests.app.conftest import Builder
from tests.app.driving import AppPilot, notices, press, running, settle, top, visible_lines
from tests.app.test_traces import SPANS, TEXT

EARLY = "Try 3 + 4 = 7.\nThat is not 32, so I stop.\n(3 + 5) * 4 = 32, works."


@pytest.fixture
def steps(builder: Builder) -> Builder:
    """One problem over three steps in two conditions; at the last step its completion has spans."""
    for digits, condition in (("c1", "none"), ("c2", "all_strategies")):
        folder = builder.stage("ppo", digits, {"condition": condition, "seed": 1})
        builder.done(folder)
        for step, text in ((0, EARLY), (10, TEXT + " Yes."), (20, TEXT)):
            builder.rollouts(folder, [text], step=step, spans=[SPANS if text == TEXT else []], stream=f"s{step}")
    return builder


async def open_compare(app: CogtuiApp, pilot: AppPilot, filter_text: str = "condition:none step:20") -> CompareScreen:
    await press(pilot, "3")
    screen = top(app, TracesScreen)
    screen.change(ListQuery(typed=filter_text))
    await settle(pilot)
    await press(pilot, "d")
    return top(app, CompareScreen)


def places(screen: CompareScreen) -> list[tuple[str | None, int]]:
    return [(row.condition, row.step) for row in screen.rows]


async def test_a_rollout_is_put_beside_the_first_step_of_its_run(steps: Builder) -> None:
    async with running(steps.workspace, (120, 30)) as (app, pilot):
        screen = await open_compare(app, pilot)
        assert places(screen) == [("none", 0), ("none", 20)]
        text = screen.query_one(PairText)
        assert not text.stacked
        rows = [line.rstrip() for line in visible_lines(text)]
        middle = rows[0].index("Try 3 + 4 = 7.", 20) - 5
        assert [row[middle - 2] for row in rows] == [" ", "≠", ">", " "]
        assert rows[1].startswith(" ···· That is not 32, so I stop.")
        assert rows[1][middle:] == "VB·· That is not 32, so let me try again."
        assert rows[2][:middle].strip(" >") == ""
        assert rows[2][middle:] == "··S· First make 8."
        assert (
            "2 the same, 1 changed ≠, 0 only in A <, 1 only in B >" in screen.query_one("#pair-summary", TextRows).text
        )
        assert "step 0 #0 · none" in screen.query_one("#side-0", TextRows).text
        assert "V2 B2 S1 C0" in screen.query_one("#side-1", TextRows).text
        strips = [screen.query_one(f"#strip-{side}", TextRows).text for side in (0, 1)]
        assert set(strips[0]) <= set(" A▕▏─·")
        assert set(strips[1]) >= set("VBS")
        assert len(strips[0].strip()) < len(strips[1].strip()), "both on one scale"


async def test_differing_words_are_underlined_and_equal_ones_not(steps: Builder) -> None:
    async with running(steps.workspace, (120, 30)) as (app, pilot):
        screen = await open_compare(app, pilot)
        parts = screen.query_one(PairText).line_parts(1, 119)
        differing = [text for text, styles_ in parts if "differs" in styles_]
        assert differing == ["I stop", "let me try again"]


async def test_at_80_columns_they_stand_one_below_the_other(steps: Builder) -> None:
    async with running(steps.workspace, (80, 24)) as (app, pilot):
        screen = await open_compare(app, pilot)
        text = screen.query_one(PairText)
        assert text.stacked
        assert [line.rstrip() for line in visible_lines(text)] == [
            "    ···· Try 3 + 4 = 7.",
            " A≠ ···· That is not 32, so I stop.",
            " B≠ VB·· That is not 32, so let me try again.",
            " B> ··S· First make 8.",
            " A  ···· (3 + 5) * 4 = 32, works.",
            " B  V··· (3 + 5) * 4 = 32, works.",
        ], "the same words under other spans stand twice"


async def test_keys_step_one_side_at_a_time(steps: Builder) -> None:
    async with running(steps.workspace, (120, 30)) as (app, pilot):
        screen = await open_compare(app, pilot)
        await press(pilot, "left")
        assert places(screen) == [("none", 0), ("none", 10)]
        await press(pilot, "tab", "right", "c")
        assert places(screen)[1] == ("none", 10)
        assert places(screen)[0] == ("none", 10), "there is no run behind the last"
        await press(pilot, "C")
        assert places(screen) == [("all_strategies", 10), ("none", 10)]
        assert screen.query_one(PairText).pairing.count("same") == len(screen.query_one(PairText).pairing.pairs)
        await press(pilot, "x")
        assert places(screen) == [("none", 10), ("all_strategies", 10)]
        assert screen.active == 1
        await press(pilot, "right")
        assert places(screen)[1] == ("all_strategies", 20)
        await press(pilot, "o")
        assert len(top(app, ChoiceScreen).choices) == 6
        await press(pilot, "home", "enter")
        assert places(screen)[1] == ("all_strategies", 0)
        await press(pilot, "enter")
        assert top(app, TraceScreen).rollout.step == 0
        await press(pilot, "escape")
        assert app.screen is screen


async def test_jumps_to_differences_and_behaviours(steps: Builder) -> None:
    async with running(steps.workspace, (120, 30)) as (app, pilot):
        screen = await open_compare(app, pilot)
        text = screen.query_one(PairText)
        await press(pilot, "d")
        assert text.at == 1
        assert visible_lines(text)[1].startswith("›")
        await press(pilot, "]", "s")
        assert text.at == 2
        await press(pilot, "]", "v")
        assert text.at == 3
        await press(pilot, "[", "b")
        assert text.at == 1
        assert places(screen)[1] == ("none", 20), "the letters of a jump are no keys of their own"
        await press(pilot, "]", "c")
        assert places(screen)[1] == ("none", 20)
        assert text.at == 1


async def test_any_two_rollouts_by_a_mark(steps: Builder) -> None:
    async with running(steps.workspace, (120, 30)) as (app, pilot):
        await press(pilot, "3", "end", "m")
        screen = top(app, TracesScreen)
        assert "◆" in visible_lines(screen.view)[5]
        marked = screen.view.rollout
        await press(pilot, "home", "enter")
        here = top(app, TraceScreen).rollout
        await press(pilot, "d")
        assert marked is not None
        assert [row.id for row in top(app, CompareScreen).rows] == [marked.id, here.id]
        await press(pilot, "escape", "escape", "end", "m")
        assert "◆" not in "".join(visible_lines(screen.view))


async def test_a_rollout_alone_in_its_problem_says_so(builder: Builder) -> None:
    builder.rollouts(builder.stage("ppo", "c1", {"condition": "none"}), ["alone"])
    async with running(builder.workspace) as (app, pilot):
        await press(pilot, "3", "d")
        top(app, TracesScreen)
        assert any("no other rollout" in notice for notice in notices(app))


def row(step: int, sample: int = 0, condition: str = "none", seed: int | None = 1) -> RolloutRow:
    return RolloutRow(
        id=f"{condition}{seed}-{step}-{sample}", stage=f"ppo-{condition}{seed}", kind="ppo", condition=condition,
        seed=seed, step=step, split="train", problem_id="p", sample=sample, **countdown_fields((1, 2), 3), reward=None,
        correct=None, finish_reason="stop", n_tokens=None, length=1, counts=(None, None, None, None), judge=None,
        judged="none", unaligned=None, noted=False, cursor=Cursor(()), serial=1,
    )  # fmt: skip


def test_stepping_stays_as_near_as_there_is() -> None:
    rows = [row(step, sample) for step in (0, 10) for sample in (0, 1, 2)] + [row(10, 2, "dots"), row(40, 0, "dots")]
    here = rows[2]
    assert here.sample == 2
    assert find_neighbour(rows, here, "step", 1) == row(10, 2)
    assert find_neighbour(rows, here, "step", -1) is None
    assert find_neighbour(rows, here, "sample", -1) == row(0, 1)
    assert find_neighbour(rows, here, "sample", 1) is None
    assert find_neighbour(rows, here, "series", 1) == row(10, 2, "dots")
    assert find_neighbour(rows, replace(here, stage="other"), "series", 1) is None


def test_the_partner_is_the_first_step_else_another_run_else_a_sample() -> None:
    here = row(20)
    rows = [here, row(20, 1), row(10), row(0, 1), row(0), row(15, 0, "dots"), row(20, 0, "dots")]
    assert choose_partner(rows, here) == row(0)
    assert choose_partner([one for one in rows if one.step == 20 or one.condition == "dots"], here) == row(
        20, 0, "dots"
    )
    assert choose_partner([here, row(20, 1)], here) == row(20, 1)
    assert choose_partner([here], here) is None
