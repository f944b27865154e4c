"""Mode 5: judges compared, the queue of disagreements, a trace with both judges' spans; live numbers."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.widgets import Input

from cogtui.analysis.agreement.indexed import ComparisonSide, compare_sides
from cogtui.app.application import CogtuiApp
from cogtui.app.judges.disagreement_screen import DisagreementScreen
from cogtui.app.judges.panel_screen import JudgePanelScreen
from cogtui.app.judges.screen import JudgesScreen, QueueTable, RunTable
from cogtui.app.judges.span_comparison_widget import InstanceList, SpanComparisonText
from cogtui.app.rendering.layout import TextLayout
from cogtui.app.rendering.span_comparison import LinesWithMarks, match_span_sets
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.popup_input import PopupInput
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import Query, open_store
from cogtui.store.user_data.annotations import ADJUDICATED, human_judge_run, new_annotation
from jobs.append_log import identity
from pipelines.behaviors.gold import GoldTrace, write_gold
from pipelines.behaviors.metrics.matching import match_spans
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.files import write_json
from pipelines.records import Judgement, JudgeRun, LabelledSpan, Rollout, Span, countdown_fields, text_sha256
from tests.app import driving
from tests.app.conftest import Builder
from tests.app.driving import AppPilot, notices, press, running, until, visible_lines
from tests.app.strategies import hostile_text, texts_with_spans
from tests.app.test_hostile import ALL, assert_screen_is_plain, top
from tests.app.test_traces import SPANS, TEXT, mark

SIZE = (150, 44)
OTHER = JudgeRun(id="openai-1", judge="openai:m [/b]", model="m")


def second_judge(builder: Builder, rollouts: list[Rollout]) -> None:
    """Says less than the rules, something else besides, and failed on the last rollout."""
    folder = builder.stage("judge", "d1", inputs=[])
    write_json(folder.artifacts / "judge_run.json", OTHER.model_dump(mode="json"))
    mine = [SPANS[0], mark(TEXT, "subgoal", "Try 3 + 4"), mark(TEXT, "backtracking", "let me try again. First")]
    with folder.stream("judgements", "judge") as writer:
        for rollout in rollouts:
            failed = rollout is rollouts[-1]
            writer.append(
                Judgement(
                    rollout_id=rollout.id,
                    judge_run=OTHER.id,
                    behavior=behavior,
                    status="parse_error" if failed else "ok",
                    count=None if failed else sum(s.behavior == behavior for s in mine if rollout.completion == TEXT),
                    spans=()
                    if failed
                    else tuple(
                        Span(**s.model_dump(exclude={"behavior"}))
                        for s in mine
                        if s.behavior == behavior and rollout.completion == TEXT
                    ),
                    text_sha256=text_sha256(rollout.completion),
                )
                for behavior in BEHAVIORS
            )


def third_judge(builder: Builder, rollouts: list[Rollout]) -> None:
    """The prose judge, which judged these rollouts alone."""
    run = JudgeRun(id="prose-1", judge="prose")
    folder = builder.stage("judge", "d2", inputs=[])
    write_json(folder.artifacts / "judge_run.json", run.model_dump(mode="json"))
    with folder.stream("judgements", "judge") as writer:
        for rollout in rollouts:
            writer.append(
                Judgement(
                    rollout_id=rollout.id, judge_run=run.id, behavior=behavior, status="ok", count=0,
                    text_sha256=text_sha256(rollout.completion),
                )
                for behavior in BEHAVIORS
            )  # fmt: skip


@pytest.fixture
def judged(builder: Builder) -> Builder:
    """Two conditions; two judges differ on one trace of either."""
    made: list[Rollout] = []
    for digits, condition in (("c1", "none"), ("c2", "all_strategies")):
        folder = builder.stage("ppo", digits, {"condition": condition, "seed": 1})
        made += builder.rollouts(folder, [TEXT, *(f"plain {n}" for n in range(9))], spans=[SPANS])
    second_judge(builder, made)
    return builder


async def to_judges(app: CogtuiApp, pilot: AppPilot) -> JudgesScreen:
    await press(pilot, "5")
    screen = app.screen
    assert isinstance(screen, JudgesScreen)
    await until(pilot, lambda: screen.found is not None)
    return screen


def report(app: CogtuiApp) -> str:
    return app.screen.query_one("#report", DetailPane).text


def line(app: CogtuiApp, name: str) -> str:
    return app.screen.query_one(f"#{name}", TextRows).text


async def test_two_judges_compared_health_first_with_n(judged: Builder) -> None:
    async with running(judged.workspace, SIZE) as (app, pilot):
        screen = await to_judges(app, pilot)
        assert [side.run for side in screen.choice.sides if side] == ["rules-1", "openai-1"]
        text = report(app)
        assert text.index("Health of B first") < text.index("Spans of B against A")
        assert "76 of 80 judgements" in text
        assert "4 parse_error" in text
        assert "19/20" in text  # n judged of n, in every line of means
        assert "20 traces" in line(app, "summary")
        with open_store(judged.workspace) as store:
            found = compare_sides(
                store,
                ComparisonSide("run", "a", "rules-1"),
                ComparisonSide("run", "b", "openai-1"),
                limit=500,
                report=lambda *_: None,
            )
        assert found.agreement.compared == dict.fromkeys(BEHAVIORS, 19)
        assert {group.group: group.n for group in found.conditions["subgoal"].groups} in (
            {"all_strategies": 9, "none": 10},  # the failed judgement is in no mean
            {"all_strategies": 10, "none": 9},
        )
        assert [(item.only_reference, item.only_judge, item.both) for item in screen.found.agreement.queue] == [  # type: ignore[union-attr]
            (3, 1, 2)
        ] * 2
        queue = screen.query_one(QueueTable)
        assert queue.line_count == 2
        # Swapped: what was missed is now extra.
        await press(pilot, "s")
        await until(pilot, lambda: screen.found is not None and screen.found.reference.run == "openai-1")
        assert screen.found is not None
        assert screen.found.agreement.queue[0].only_reference == 1


async def test_a_trace_of_the_queue_shows_who_says_what_without_colour(
    judged: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running(judged.workspace, SIZE) as (app, pilot):
        screen = await to_judges(app, pilot)
        screen.query_one(QueueTable).focus()
        await press(pilot, "enter")
        assert top(app) == "DisagreementScreen"
        shown = visible_lines(app.screen.query_one(SpanComparisonText))
        rows = [row.rstrip() for row in shown]
        assert rows[0] == "    Try 3 + 4 = 7."
        assert rows[1] == " S  " + "B" * 9
        assert rows[2].startswith("    That is not 32, so let me try again. First make 8.")
        assert rows[3] == " V  " + "=" * 14
        assert rows[4] == " B  " + " " * 16 + "aaa" + "=" * 16 + "b" * 7
        assert rows[5] == " S  " + " " * 37 + "A" * 12
        assert " B  A 0 B 0 = 1 " in line(app, "counts")
        assert "A lost" in app.screen.query_one("#span", DetailPane).text
        # Jumps go from difference to difference, past what both say.
        where = app.screen.query_one(SpanComparisonText)
        seen = [where.current]
        await press(pilot, "right_square_bracket", "right_square_bracket")
        seen.append(where.current)
        assert [where.shared[index].whose for index in seen if index is not None] == ["B", "A"]
        await press(pilot, "right_square_bracket", "v")
        assert where.shared[where.current or 0].behavior == "verification"
        await press(pilot, "left_square_bracket", "left_square_bracket", "n")
        assert line(app, "head").startswith(" 2 of 2")
        await press(pilot, "tab", "down", "enter", "escape")
        assert top(app) == "JudgesScreen"
        assert app.screen.query_one(QueueTable).cursor == 1


async def test_annotating_shows_new_numbers_at_once(judged: Builder) -> None:
    async with running(judged.workspace, SIZE) as (app, pilot):
        screen = await to_judges(app, pilot)
        screen.query_one(QueueTable).focus()
        await press(pilot, "enter", "a")
        assert top(app) == "AnnotateScreen"
        await press(pilot, "J", "enter", "A", "D", "escape", "escape")
        mine = human_judge_run(identity()).id
        await until(pilot, lambda: screen.choice.sides[0] is not None and screen.choice.sides[0].run == mine)
        await until(pilot, lambda: screen.found is not None and screen.found.reference.run == mine)
        assert f"human {identity()}" in line(app, "summary")
        assert "1 trace," in line(app, "summary")
        assert "1/1" in report(app)
        await until(pilot, lambda: any("1 done" in row for row in visible_lines(screen.query_one(RunTable))))
        before = report(app)
        # A command in another terminal adds annotations: the numbers are updated.
        with open_store(judged.workspace) as store:
            uid = next(name for name in screen.found.reference.traces)  # type: ignore[union-attr]
            (standing,) = store.humans()
            store.write_human([new_annotation(uid, TEXT, identity(), after=standing, done=True)])
        await until(pilot, lambda: report(app) != before)
        assert "V" in report(app)


async def test_a_gold_file_is_a_reference_too(judged: Builder, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    trace = GoldTrace(id="g", **countdown_fields((3, 5, 4), 32), text=TEXT, spans=tuple(SPANS[:4]))
    absent = trace.model_copy(update={"id": "h", "text": "not here", "spans": ()})
    write_gold(gold, [trace, absent])
    async with running(judged.workspace, (80, 24)) as (app, pilot):
        screen = await to_judges(app, pilot)
        await press(pilot, "o")
        app.screen.query_one("#gold-entry", Input).value = str(gold)
        await press(pilot, "enter")
        await until(pilot, lambda: screen.found is not None and screen.found.reference.name.startswith("gold"))
        assert screen.found is not None
        assert screen.found.agreement.compared == dict.fromkeys(BEHAVIORS, 1)  # the same text, found in the index
        assert any("1 of 2 traces" in warning for warning in screen.found.agreement.warnings)
        # A file that is none says so, and what was there can be chosen again.
        gold.write_text("{}\n")
        await press(pilot, "full_stop")
        assert "row 1" in line(app, "summary")
        await press(pilot, "home", "a")
        await until(pilot, lambda: screen.found is not None)


async def test_a_wrong_gold_path_stays_in_the_prompt(judged: Builder, tmp_path: Path) -> None:
    wrong = tmp_path / "not-gold.jsonl"
    wrong.write_text("{}\n")
    async with running(judged.workspace, (80, 24)) as (app, pilot):
        screen = await to_judges(app, pilot)
        rows, sides = screen.query_one(RunTable).line_count, list(screen.choice.sides)
        for path, problem in ((tmp_path / "nothing.jsonl", "No such file"), (wrong, "row 1"), (tmp_path, "directory")):
            await press(pilot, "o")
            entry = screen.query_one("#gold-entry", PopupInput)
            entry.value = str(path)
            await press(pilot, "enter")
            assert entry.has_focus
            assert entry.value == str(path)
            assert problem in entry.problem
            assert entry.size.height == 1, "the text and, on the border below it, the problem"
            await press(pilot, "x")
            assert entry.problem == "", "the text was changed"
            await press(pilot, "escape")
        assert screen.query_one(RunTable).line_count == rows, "no row for what is no gold file"
        assert screen.choice.sides == sides
        assert notices(app) == []


async def test_judges_without_common_traces_say_what_to_do(judged: Builder, tmp_path: Path) -> None:
    folder = judged.stage("ppo", "c3", {"condition": "dots", "seed": 1})
    apart = judged.rollouts(folder, ["alone"], judge=False)
    third_judge(judged, apart)
    gold = tmp_path / "gold.jsonl"
    write_gold(gold, [GoldTrace(id="g", **countdown_fields((3, 5, 4), 32), text="elsewhere", spans=())])
    async with running(judged.workspace, (100, 30)) as (app, pilot):
        screen = await to_judges(app, pilot)
        names = [side.name for side, _ in screen.choice.options(screen._summaries)]
        for _ in range(names.index("prose")):
            await press(pilot, "down")
        await press(pilot, "b")
        await until(pilot, lambda: "no trace in common" in line(app, "summary"))
        assert "judged no trace in common" in report(app)
        assert "cogtui judge --judge prose" in report(app)
        await press(pilot, "o")
        screen.query_one("#gold-entry", PopupInput).value = str(gold)
        await press(pilot, "enter")
        await until(pilot, lambda: "gold file" in report(app))
        assert "not in this workspace" in report(app)


async def test_an_index_without_judges_says_what_to_do(builder: Builder) -> None:
    folder = builder.stage("ppo", "c1", {"condition": "x"})
    builder.rollouts(folder, ["a", "b"], judge=False)
    async with running(builder.workspace, (80, 24)) as (app, pilot):
        await press(pilot, "5")
        await until(pilot, lambda: "nobody judged" in line(app, "summary"))
        await press(pilot, "a", "b", "s", "plus", "minus", "enter")
        assert top(app) == "JudgesScreen"


async def test_many_traces_are_sampled_and_n_is_said(builder: Builder) -> None:
    folder = builder.stage("ppo", "c1", {"condition": "x"})
    made = builder.rollouts(folder, [f"text {n}" for n in range(130)])
    second_judge(builder, made)
    async with running(builder.workspace, SIZE) as (app, pilot):
        screen = await to_judges(app, pilot)
        await press(pilot, "minus")
        await until(pilot, lambda: screen.found is not None and screen.found.agreement.traces == 50)
        assert "50 traces of 130 (+ for more)" in line(app, "summary")
        assert "a sample of 130" in report(app)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
async def test_hostile_text_reaches_the_new_screens_and_stays_text(builder: Builder, size: tuple[int, int]) -> None:
    folder = builder.stage("ppo", "c1", {"condition": "[/]" + "x\x1b[2J"})
    text = ALL.replace("\udfff", "")  # JSON would join the two surrogates: another text than the one judged
    span = LabelledSpan(behavior="verification", start=0, end=20, quote=text[:20])
    lost = LabelledSpan(behavior="subgoal", quote=text, alignment="unaligned", score=0.0, why=text)
    made = builder.rollouts(folder, [text, "x"], spans=[[span, lost]])
    second_judge(builder, made)
    async with running(builder.workspace, size) as (app, pilot):
        screen = await to_judges(app, pilot)
        assert_screen_is_plain(app)
        screen.query_one("#report", DetailPane).focus()
        await press(pilot, "end", "question_mark", "escape")
        assert_screen_is_plain(app)
        screen.query_one(QueueTable).focus()
        await press(pilot, "enter")
        assert top(app) == "DisagreementScreen"
        for keys in (("e",), ("i", "tab", "down"), ("i",), ("i", "G", "question_mark"), ("escape", "a")):
            await press(pilot, *keys)
            assert_screen_is_plain(app)


@settings(deadline=None)
@given(texts_with_spans(), st.data())
def test_shared_spans_are_what_agreement_counts(case: tuple[str, list[LabelledSpan]], data: st.DataObject) -> None:
    _, spans = case
    cut = data.draw(st.integers(0, len(spans)))
    first, second = spans[:cut], spans[cut:]
    shared = match_span_sets(first, second)
    assert Counter(one.first for one in shared if one.first) == Counter(first)
    assert Counter(one.second for one in shared if one.second) == Counter(second)
    for behavior in BEHAVIORS:
        mine = [span for span in first if span.behavior == behavior]
        theirs = [span for span in second if span.behavior == behavior]
        matched = match_spans(theirs, mine)
        own = [one for one in shared if one.behavior == behavior]
        assert sum(one.whose == "both" for one in own) == len(matched.hits)
        assert sum(one.whose == "A" for one in own) == len(matched.missed)
        assert sum(one.whose == "B" for one in own) == len(matched.extra)


@settings(deadline=None)
@given(texts_with_spans(), st.integers(2, 50), st.data())
def test_marks_cover_each_line_and_say_whose_each_character_is(
    case: tuple[str, list[LabelledSpan]], width: int, data: st.DataObject
) -> None:
    text, spans = case
    cut = data.draw(st.integers(0, len(spans)))
    shared = match_span_sets(spans[:cut], spans[cut:])
    layout = TextLayout(text, width)
    lines = LinesWithMarks(layout, shared)
    seen = [lines.at(row) for row in range(len(lines))]
    assert [number for number, behavior in seen if behavior is None] == list(range(len(layout)))
    for row, (number, behavior) in enumerate(seen):
        start, end = layout.bounds(number)
        if behavior is None:
            assert lines.row_of(start) <= row
            continue
        marks = lines.marks(number, behavior)
        assert [a for a, _, _ in marks] == [start, *(b for _, b, _ in marks[:-1])] if marks else start == end
        for a, b, sign in marks:
            for place in range(a, b):
                sides = [
                    any(s.behavior == behavior and (s.start or 0) <= place < (s.end or 0) for s in side)
                    for side in (spans[:cut], spans[cut:])
                ]
                assert {"=": [True, True], " ": [False, False]}.get(sign, [sign in "Aa", sign in "Bb"]) == sides


@given(hostile_text)
def test_a_text_without_spans_has_no_marks(text: str) -> None:
    layout = TextLayout(text, 20)
    assert len(LinesWithMarks(layout, ())) == len(layout)
    assert InstanceList().line_count == 0
    assert DisagreementScreen.HELP_TITLE


async def test_all_judges_and_people_are_compared_together(judged: Builder) -> None:
    with open_store(judged.workspace) as store:
        store.ingest()
        rows = store.page(Query(), limit=100).rows
        marked = next(row for row in rows if store.rollout(row.id).completion == TEXT)
        plain = next(row for row in rows if store.rollout(row.id).completion == "plain 1")
        store.write_human(
            [
                new_annotation(marked.id, TEXT, "ann@desk", spans=(SPANS[0],), done=True),
                new_annotation(plain.id, "plain 1", "ann@desk", done=True),
                new_annotation(plain.id, "plain 1", ADJUDICATED, done=True, adjudicator="eve"),  # made of the others
            ]
        )
    async with running(judged.workspace, SIZE) as (app, pilot):
        await press(pilot, "5", "t")
        screen = driving.top(app, JudgePanelScreen)
        assert screen.found is not None
        assert len(screen.found.judges) == 3
        assert screen.found.counts["verification"].traces == 2  # those that a person labelled
        text = screen.query_one(DetailPane).text
        assert "Krippendorff's alpha" in text
        assert "human ann@desk" in text
        assert_screen_is_plain(app)
        await press(pilot, "escape")
        driving.top(app, JudgesScreen)
    async with running(judged.workspace, (80, 24)) as (app, pilot):
        await press(pilot, "5", "t")
        assert "3 judges and people" in driving.top(app, JudgePanelScreen).query_one("#summary", TextRows).text
        assert_screen_is_plain(app)
