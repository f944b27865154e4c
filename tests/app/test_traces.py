"""Mode 3: the list of rollouts over the real index, and the trace view."""

import pytest

from cogtui.app.application import CogtuiApp
from cogtui.app.rollout.span_list import SpanList
from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.list_query import ListQuery
from cogtui.app.traces.list.filter_bar import FilterBar, FilterEntry
from cogtui.app.traces.list.rollout_list import RolloutList
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.app.traces.reader.screen import TraceScreen
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import open_store
from pipelines.records import Behavior, LabelledSpan
from tests.app.conftest import Builder
from tests.app.driving import AppPilot, press, running, screen_text, settle, visible_lines

TEXT = "Try 3 + 4 = 7.\nThat is not 32, so let me try again. First make 8.\n(3 + 5) * 4 = 32, works."


def mark(text: str, behavior: Behavior, words: str) -> LabelledSpan:
    start = text.index(words)
    return LabelledSpan(behavior=behavior, start=start, end=start + len(words), quote=words, why=f"says {words[:4]}")


SPANS = [
    mark(TEXT, "verification", "That is not 32"),
    mark(TEXT, "backtracking", "so let me try again"),
    mark(TEXT, "subgoal", "First make 8"),
    mark(TEXT, "verification", "works"),
    LabelledSpan(behavior="backtracking", quote="never said so", alignment="unaligned", score=0.2),
]


@pytest.fixture
def judged(builder: Builder) -> Builder:
    """Two stages with rollouts at two steps; the first rollout of each step has spans."""
    for digits, condition in (("c1", "none"), ("c2", "all_strategies")):
        folder = builder.stage("ppo", digits, {"condition": condition, "seed": 1})
        builder.done(folder)
        for step in (0, 10):
            texts = [TEXT, *(f"plain {n} at {step}" for n in range(49))]
            builder.rollouts(folder, texts, step=step, spans=[SPANS], stream=f"s{step}")
    return builder


def parts(app: CogtuiApp) -> tuple[TracesScreen, RolloutList]:
    screen = app.screen
    assert isinstance(screen, TracesScreen)
    return screen, screen.query_one(RolloutList)


def ids(view: RolloutList) -> list[str]:
    return [row.id for row in view.rollouts]


async def to_traces(pilot: AppPilot) -> None:
    await press(pilot, "3")


async def test_the_list_shows_every_rollout_newest_step_first(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        screen, view = parts(app)
        assert "1 of 200 rollouts" in screen.query_one("#summary", TextRows).text
        await press(pilot, "end")
        assert "200 of 200 rollouts" in screen.query_one("#summary", TextRows).text
        await press(pilot, "home")
        assert [row.step for row in view.rollouts[:100]] == [10] * 100
        texts = visible_lines(view)
        assert texts[0].split()[:2] == ["10", "all_strategies"]


async def test_paging_down_meets_every_row_once(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        _, view = parts(app)
        seen: list[str] = []
        for _ in range(200):
            assert view.rollout is not None
            seen.append(view.rollout.id)
            await pilot.press("down")
            await pilot.pause()
            if view.cursor >= view.line_count - 50:
                await settle(pilot)
        assert len(set(seen)) == 200


async def test_counts_are_numbers_and_missing_ones_dashes(builder: Builder) -> None:
    folder = builder.stage("ppo", "c1", {"condition": "none"})
    builder.rollouts(folder, [TEXT], spans=[SPANS], stream="a")
    builder.rollouts(folder, ["unjudged"], step=1, judge=False, stream="b")
    async with running(builder.workspace, (120, 30)) as (app, pilot):
        await to_traces(pilot)
        _, view = parts(app)
        unjudged, judged_row = visible_lines(view)
        assert judged_row.split()[-12:][0:1] != []
        assert " 2   2   1   0" in judged_row
        assert " –   –   –   –" in unjudged


async def test_a_typed_filter_narrows_the_list(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        screen, view = parts(app)
        await press(pilot, "slash")
        await pilot.press(*"verification>=1 step:0")
        await press(pilot, "enter")
        assert view.line_count == 2
        assert "verification>=1 step:0" in screen.query_one("#filter-text", TextRows).text
        assert app.focused is view
        await press(pilot, "backspace")
        assert "1 of 200" in screen.query_one("#summary", TextRows).text


async def test_a_wrong_filter_gets_a_caret_and_changes_nothing(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        screen, view = parts(app)
        await press(pilot, "slash")
        await pilot.press(*"step>=3 correkt:no")
        await press(pilot, "enter")
        caret, message = screen.query_one("#filter-help", TextRows).text.split("\n")
        assert caret == " " * 9 + "^" * len("correkt")
        assert "correct" in message
        assert isinstance(app.focused, FilterEntry)
        assert view.line_count > 0
        await press(pilot, "escape")
        assert screen.list_query == ListQuery()


async def test_tab_completes_from_the_data(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        await press(pilot, "slash")
        await pilot.press(*"cond")
        await press(pilot, "tab")
        entry = app.screen.query_one(FilterEntry)
        assert entry.value == "condition:"
        await press(pilot, "tab")
        assert "all_strategies  none" in app.screen.query_one("#filter-help", TextRows).text
        await pilot.press("n")
        await press(pilot, "tab")
        assert entry.value == "condition:none"


async def test_tab_goes_through_the_completions_and_round_again(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        await press(pilot, "slash", *"condition:")
        entry, told = app.screen.query_one(FilterEntry), app.screen.query_one("#filter-help", TextRows)
        seen = []
        for _ in range(5):
            await press(pilot, "tab")
            seen.append(entry.value.removeprefix("condition:"))
        assert seen == ["", "all_strategies", "none", "", "all_strategies"]
        assert "›all_strategies" in told.text
        await press(pilot, "shift+tab", "shift+tab")
        assert entry.value == "condition:none"
        await press(pilot, "space", *"st", "tab")
        assert entry.value.startswith("condition:none st"), "another word"
        assert "stage:" in told.text
        await press(pilot, "escape")
        assert app.screen.query_one(FilterBar).has_class("open") is False


async def test_quick_filters_show_as_filter_text(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        screen, view = parts(app)
        await press(pilot, "c")
        assert isinstance(app.screen, ChoiceScreen)
        assert app.screen.choices == ["any", "all_strategies", "none"]
        await press(pilot, "end", "enter", "x")
        assert screen.list_query.text == "condition:none correct:true"
        assert {(row.condition, row.correct) for row in view.rollouts} == {("none", True)}
        assert "condition:none correct:true" in screen.query_one(FilterBar).query_one("#filter-text", TextRows).text
        await press(pilot, "x", "x")
        assert screen.list_query.text == "condition:none"


async def test_sorting_by_a_count_and_turning_it_round(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        screen, view = parts(app)
        await press(pilot, "s")
        assert isinstance(app.screen, ChoiceScreen)
        place = app.screen.choices.index("verification")
        await press(pilot, "home", *["down"] * place, "enter")
        assert [row.counts[0] for row in view.rollouts[:5]] == [2, 2, 2, 2, 0]
        assert " V↓" in screen.query_one("#titles", TextRows).text
        await press(pilot, "S")
        assert view.rollouts[0].counts[0] == 0


async def test_new_rollouts_are_announced_and_the_cursor_stays(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        screen, view = parts(app)
        await press(pilot, "down", "down", "down")
        assert view.rollout is not None
        here, before = view.rollout.id, visible_lines(view)
        folder = judged.workspace.folder("ppo-0000000000c1")
        judged.rollouts(folder, ["fresh one", "fresh two"], step=20, stream="s20")
        with open_store(judged.workspace) as other:
            other.ingest()
        app.poll()
        await settle(pilot)
        assert screen.new == 2
        assert "2 new" in screen.query_one("#summary", TextRows).text
        assert view.rollout.id == here
        assert visible_lines(view) == before
        await press(pilot, "full_stop")
        assert screen.new == 0
        assert view.rollout.id == here
        assert "6 of 202" in screen.query_one("#summary", TextRows).text
        await press(pilot, "home")
        assert view.rollouts[0].step == 20


async def test_judgements_that_arrive_later_fill_the_visible_rows(builder: Builder) -> None:
    folder = builder.stage("ppo", "c1", {"condition": "none"})
    made = builder.rollouts(folder, [TEXT], judge=False)
    async with running(builder.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        _, view = parts(app)
        assert " –   –   –   –" in visible_lines(view)[0]
        builder.judge(folder, made, [SPANS], "late")
        with open_store(builder.workspace) as other:
            other.ingest()
        app.poll()
        await settle(pilot)
        assert " 2   2   1   0" in visible_lines(view)[0]


async def test_rows_appear_in_an_empty_list(builder: Builder) -> None:
    folder = builder.stage("ppo", "c1", {"condition": "none"})
    async with running(builder.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        screen, view = parts(app)
        assert "no rollout in the index yet" in screen.query_one("#summary", TextRows).text
        builder.rollouts(folder, ["first"])
        with open_store(builder.workspace) as other:
            other.ingest()
        app.poll()
        await settle(pilot)
        assert view.line_count == 1


async def open_trace(
    app: CogtuiApp, pilot: AppPilot, filter_text: str = "verification>=1 condition:none step:0"
) -> TraceScreen:
    await to_traces(pilot)
    screen, view = parts(app)
    screen.change(ListQuery(typed=filter_text))
    await settle(pilot)
    view.focus()
    await press(pilot, "enter")
    assert isinstance(app.screen, TraceScreen)
    return app.screen


async def test_the_trace_has_head_legend_gutter_and_minimap(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        screen = await open_trace(app, pilot)
        head = screen.query_one("#head", TextRows).text
        assert "none · seed 1 · step 0 · train · problem p0 #0" in head
        assert "✓ correct  reward 1.00  3 5 4 → 32  answer (3 + 5) * 4" in head
        legend = screen.query_one("#legend", TextRows).text
        assert "verification 2" in legend
        assert "backtracking 2" in legend
        assert "rules" in legend
        assert "1 not found" in legend
        lines = visible_lines(screen.query_one(TraceText))
        assert [line.rstrip() for line in lines] == [
            "····   Try 3 + 4 = 7.",
            "VBS·   That is not 32, so let me try again. First make 8.",
            "V···   (3 + 5) * 4 = 32, works.",
        ]
        strip = screen.query_one("#minimap", TextRows).text
        assert set(strip) >= {"V", "B", "S"}
        assert strip.index("B") < strip.index("S") < strip.rindex("V")


async def test_jumps_by_behaviour_show_the_span(judged: Builder) -> None:
    async with running(judged.workspace, (120, 40)) as (app, pilot):
        screen = await open_trace(app, pilot)
        text = screen.query_one(TraceText)
        pane = screen.query_one("#span", DetailPane)
        await press(pilot, "]", "v")
        assert text.current == 0
        assert "That is not 32" in pane.text
        assert "says That" in pane.text
        assert "exact 1.00" in pane.text
        await press(pilot, "]", "v")
        assert text.spans[text.current or 0].quote == "works"
        await press(pilot, "[", "b")
        assert text.spans[text.current or 0].quote == "so let me try again"
        await press(pilot, "]", "s")
        assert text.spans[text.current or 0].quote == "First make 8"
        await press(pilot, "[", "[")
        assert text.spans[text.current or 0].quote == "so let me try again"


async def test_a_jump_past_the_last_goes_to_the_next_rollout_that_has_one(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        screen = await open_trace(app, pilot, "condition:none")
        first = screen.rollout.id
        assert screen.rollout.step == 10
        assert screen.trace.spans == ()
        for _ in range(2):
            await press(pilot, "]", "s")
        assert screen.rollout.id != first
        assert screen.rollout.counts[2] == 1


async def test_unaligned_quotes_are_listed_not_dropped(judged: Builder) -> None:
    async with running(judged.workspace, (120, 40)) as (app, pilot):
        screen = await open_trace(app, pilot)
        lines = visible_lines(screen.query_one(SpanList))
        assert len(lines) == 5
        assert "not found" in lines[-1]
        assert "never said so" in lines[-1]
        await press(pilot, "tab", "end")
        assert "its quote was not found in the text" in screen.query_one("#span", DetailPane).text


async def test_next_and_previous_rollout_follow_the_list_and_esc_returns_to_it(judged: Builder) -> None:
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await to_traces(pilot)
        _, view = parts(app)
        await press(pilot, "enter")
        screen = app.screen
        assert isinstance(screen, TraceScreen)
        first = screen.rollout.id
        await press(pilot, "n", "n")
        assert screen.rollout.id == ids(view)[2]
        await press(pilot, "p", "p")
        assert screen.rollout.id == first
        await press(pilot, "p")
        assert screen.rollout.id == first
        await press(pilot, "n", "escape")
        assert view.cursor == 1


async def test_the_problem_pane_works_the_answer_out(judged: Builder) -> None:
    async with running(judged.workspace, (80, 24)) as (app, pilot):
        screen = await open_trace(app, pilot)
        pane = screen.query_one("#problem", DetailPane)
        heights = [pane.size.height]
        await press(pilot, "i", "i")
        heights.append(pane.size.height)
        assert "Use the numbers 3, 5, 4 to make 32." in pane.text
        assert "no <answer>" in pane.text
        assert "correct by the run, whose reward rules differ" in " ".join(pane.text.split())
        assert "solution" in pane.text
        await press(pilot, "i")
        heights.append(pane.size.height)
        assert heights[0] == heights[2] == 0 < heights[1]
        assert isinstance(app.focused, TraceText)


async def test_escapes_and_copying(judged: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr(CogtuiApp, "copy_to_clipboard", lambda self, text: copied.append(text))
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await open_trace(app, pilot)
        await press(pilot, "e")
        assert "Try 3 + 4 = 7.\\n" in screen_text(app)
        await press(pilot, "e", "]", "v", "y", "enter")
        assert copied == ["That is not 32"]
        await press(pilot, "y", "down", "enter")
        assert copied[-1] == TEXT


async def test_enter_on_a_done_cell_opens_its_rollouts_only(judged: Builder) -> None:
    from jobs.planning.cell import Cell

    judged.experiment("e", [Cell(labels={"seed": 1}, stages={"ppo": "ppo-0000000000c2"})])
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        await press(pilot, "enter")
        _, view = parts(app)
        assert {row.stage for row in view.rollouts} == {"ppo-0000000000c2"}
        await press(pilot, "backspace")
        assert {row.stage for row in view.rollouts} == {"ppo-0000000000c2"}, "the scope is no filter of one's own"
        await press(pilot, "enter", "escape", "escape")
        assert app.current_mode == "Experiments"


async def test_of_a_trace_of_200_kb_only_visible_lines_are_drawn(builder: Builder) -> None:
    text = ("Let me try 12 + 7 = 19, which is not 32. " * 5000)[:200_000]
    spans = [
        LabelledSpan(behavior="verification", start=at, end=at + 10, quote=text[at : at + 10])
        for at in range(30, 190_000, 300)
    ]
    folder = builder.stage("ppo", "c1", {"condition": "none"})
    builder.rollouts(folder, [text], spans=[spans])
    async with running(builder.workspace, (100, 30)) as (app, pilot):
        screen = await open_trace(app, pilot, "")
        view = screen.query_one(TraceText)
        drawn: list[int] = []
        parts_of = view.line_parts

        def note(line: int, width: int) -> object:
            drawn.append(line)
            return parts_of(line, width)

        view.line_parts = note  # type: ignore[method-assign,assignment]
        await press(pilot, "G")
        assert len(set(drawn)) <= 2 * view.size.height
        assert min(drawn) > view.line_count - 2 * view.size.height


async def test_an_unjudged_trace_is_judged_by_rules_here_and_now(builder: Builder) -> None:
    folder = builder.stage("ppo", "c1", {"condition": "none"})
    builder.rollouts(folder, ["3 + 5 = 9. That is not 32. Let me try again."], judge=False)
    async with running(builder.workspace, (120, 40)) as (app, pilot):
        screen = await open_trace(app, pilot, "")
        assert "rules, live" in screen.query_one("#legend", TextRows).text
        assert screen.trace.count("verification") == "1"
        text = screen.query_one(TraceText)
        assert {span.behavior for span in text.spans} >= {"verification", "backtracking"}
        wrong = [part for part, styles_ in text.line_parts(0, 80) if "wrong" in styles_]
        assert wrong == ["3 + 5 = 9"]
        assert "3 + 5 = 9" in screen.query_one("#problem", DetailPane).text
        await press(pilot, "escape")
        assert " –   –   –   –" in visible_lines(app.screen.query_one(RolloutList))[0], "nothing of it is stored"
