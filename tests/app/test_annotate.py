"""A person annotates in the trace view, by keyboard alone."""

import json
from functools import partial
from pathlib import Path

import pytest

from cogtui.app.annotation.screen import AnnotateScreen
from cogtui.app.application import CogtuiApp
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.help import help_sections
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import open_store
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.run import run_import
from cogtui.store.ingest.rebuild import rebuild
from cogtui.store.user_data.annotations import FOLDER, HumanAnnotation, human_judge_run, latest_annotations
from jobs.append_log import identity
from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import BEHAVIORS
from tests.app import driving
from tests.app.conftest import Builder
from tests.app.driving import AppPilot, notices, running, screen_text, settle, until
from tests.app.strategies import NASTY
from tests.app.test_hostile import assert_screen_is_plain, top
from tests.app.test_traces import SPANS, TEXT

SIZE = (110, 30)


@pytest.fixture
def judged(builder: Builder) -> Builder:
    """Three rollouts; the first has spans by a judge."""
    folder = builder.stage("ppo", "c1", {"condition": "none", "seed": 1})
    builder.rollouts(folder, [TEXT, "plain words. And more.", "x" * 2000], spans=[SPANS])
    return builder


async def press(pilot: AppPilot, *keys: str) -> None:
    """Presses keys, and after each waits until what it changed is on disk, or known not to be."""
    for key in keys:
        await driving.press(pilot, key)
        screen = pilot.app.screen
        if isinstance(screen, AnnotateScreen):
            await until(pilot, partial(_at_rest, screen))


def _at_rest(screen: AnnotateScreen) -> bool:
    return not screen.writing


async def to_annotate(app: CogtuiApp, pilot: AppPilot) -> AnnotateScreen:
    await press(pilot, "3", "end", "enter", "a")  # the list begins with the latest
    screen = app.screen
    assert isinstance(screen, AnnotateScreen)
    return screen


async def test_messages_are_folded_and_the_caret_steps_over_them(builder: Builder, tmp_path: Path) -> None:
    result = "\n".join(f"line {number}" for number in range(20))
    path = tmp_path / "agent.jsonl"
    messages = [
        {"role": "user", "content": "Find it."},
        {"role": "assistant", "content": "I look.", "tool_calls": [{"function": {"name": "ls", "arguments": "{}"}}]},
        {"role": "tool", "content": result},
        {"role": "assistant", "content": "Wait, let me check. It is there."},
    ]
    path.write_text(json.dumps({"messages": messages}) + "\n")
    for _ in run_import(plan_import([path]), builder.workspace):
        pass
    async with running(builder.workspace, SIZE) as (app, pilot):
        screen = await to_annotate(app, pilot)
        assert "line 12" in screen_text(app)
        await press(pilot, "f")
        assert "line 12" not in screen_text(app)
        assert "… 19 more lines" in screen_text(app)
        assert any("19 lines hidden" in notice for notice in notices(app))
        assert screen.detail is not None
        text, shown = screen.text, screen.detail.completion
        folded = shown.index("line 0") + len("line 0")
        await press(pilot, *["j"] * 6)
        text.go_to(folded)
        await press(pilot, "l")
        assert shown[text.caret :].startswith("\n[assistant]\nWait"), "the caret is behind the fold"
        await press(pilot, "h")
        assert text.caret == folded
        text.go_to(shown.index("line 12"))  # a place in the fold is shown
        await settle(pilot)
        assert "line 12" in screen_text(app)
        text.go_to(shown.index("Wait"))
        await press(pilot, "space", "right_parenthesis", "V")
        assert [span.quote for span in saved(builder.workspace).spans] == ["Wait, let me check."]


def saved(workspace: Workspace) -> HumanAnnotation:
    """What is on disk, read as a stranger would."""
    (found,) = latest_annotations(workspace)
    return found


def words(annotation: HumanAnnotation) -> list[tuple[str, str]]:
    return [(span.behavior, span.quote) for span in annotation.spans]


def line(app: CogtuiApp, name: str) -> str:
    return app.screen.query_one(f"#{name}", TextRows).text


async def test_adding_spans_from_nothing(judged: Builder) -> None:
    async with running(judged.workspace, SIZE) as (app, pilot):
        screen = await to_annotate(app, pilot)
        assert "not begun" in line(app, "counts")
        # To `That`, select up to the comma, one word at a time; label it.
        await press(pilot, "right_parenthesis", "space", *("w" * 4), "V")
        assert words(saved(judged.workspace)) == [("verification", "That is not 32")]
        assert "V  1" in line(app, "counts")
        assert "saved" in line(app, "counts")
        # A sentence at once, then its first two words taken off, from the other end.
        await press(pilot, "right_parenthesis", "space", "right_parenthesis", "S")
        assert words(saved(judged.workspace))[-1] == ("subgoal", "First make 8.")
        await press(pilot, "e", "o", "w", "enter", "e", "left", "enter")
        assert words(saved(judged.workspace))[-1] == ("subgoal", "make 8")
        await press(pilot, "C", "W")
        assert words(saved(judged.workspace))[-1] == ("backward_chaining", "make 8")
        assert saved(judged.workspace).spans[-1].weak
        assert saved(judged.workspace).status("subgoal") == "unjudged"
        await press(pilot, "D")
        assert saved(judged.workspace).status("subgoal") == "ok"
        assert screen.draft.done
        assert "done" in line(app, "counts")
        await press(pilot, "x", "u", "u", "u", "u")
        assert not saved(judged.workspace).done
        assert [span.weak for span in saved(judged.workspace).spans] == [False, False]
        await press(pilot, "U", "U", "U")
        assert saved(judged.workspace).done


async def test_deciding_on_a_judges_spans(judged: Builder) -> None:
    async with running(judged.workspace, SIZE) as (app, pilot):
        await to_annotate(app, pilot)
        await press(pilot, "J")
        assert isinstance(app.screen, ChoiceScreen)
        assert app.screen.choices == ["rules", "rules, live"]
        await press(pilot, "enter")
        assert "4 to decide" in line(app, "counts")
        assert "proposed" in line(app, "hint")
        begun = saved(judged.workspace)
        assert (len(begun.open), begun.spans, begun.basis) == (4, (), "rules-1")
        assert {begun.status(behavior) for behavior in BEHAVIORS} == {"unjudged"}
        await press(pilot, "enter", "x", "R")
        kept = saved(judged.workspace)
        assert words(kept) == [("verification", "That is not 32"), ("subgoal", "First make 8")]
        assert kept.spans[1].repeat
        assert [span.quote for span in kept.rejected] == ["so let me try again"]
        assert "1 to decide" in line(app, "counts")
        # Done asks for what is open.
        await press(pilot, "D")
        assert isinstance(app.screen, ChoiceScreen)
        await press(pilot, "down", "enter")
        kept = saved(judged.workspace)
        assert kept.done
        assert [span.quote for span in kept.spans] == ["That is not 32", "First make 8", "works"]
        # What was decided is not proposed again.
        await press(pilot, "J", "enter")
        assert saved(judged.workspace) == kept


async def test_nothing_of_the_judge_is_overwritten_and_the_index_may_go(judged: Builder) -> None:
    async with running(judged.workspace, SIZE) as (app, pilot):
        screen = await to_annotate(app, pilot)
        uid = screen.rollout.id
        await press(pilot, "D", "escape")
        assert top(app) == "TraceScreen"
        assert f"human {identity()}" in line(app, "legend")
        assert "verification 0" in line(app, "legend")
        await press(pilot, "J")
        assert "verification 2" in line(app, "legend")
    rebuild(judged.workspace)
    with open_store(judged.workspace) as store:
        detail = store.rollout(uid)
        assert {run.id for run in detail.judge_runs} == {"rules-1", human_judge_run(identity()).id}
        mine = [one for one in detail.judgements if one.judge_run == human_judge_run(identity()).id]
        assert [(one.status, one.count) for one in mine] == [("ok", 0)] * 4
        rules = [one for one in detail.judgements if one.judge_run == "rules-1"]
        assert [one.count for one in rules] == [2, 2, 1, 0]


async def test_the_work_is_there_again_in_another_app(judged: Builder) -> None:
    async with running(judged.workspace, SIZE) as (app, pilot):
        await to_annotate(app, pilot)
        await press(pilot, "space", "w", "B")
    async with running(judged.workspace, SIZE) as (app, pilot):
        screen = await to_annotate(app, pilot)
        assert [span.quote for span in screen.draft.spans] == ["Try"]
        assert "backtracking" in (screen.text.span.behavior if screen.text.span else "")
        # The next traces of the list, and back; each with its own annotation.
        await press(pilot, "p", "D", "p", "n", "n")
        assert [span.quote for span in screen.draft.spans] == ["Try"]
        await press(pilot, "n")
    assert [(one.done, len(one.spans)) for one in latest_annotations(judged.workspace)] in (
        [(True, 0), (False, 1)],
        [(False, 1), (True, 0)],
    )


async def test_a_change_that_breaks_the_rules_says_why_and_changes_nothing(judged: Builder) -> None:
    async with running(judged.workspace, SIZE) as (app, pilot):
        screen = await to_annotate(app, pilot)
        await press(pilot, "space", "w", "V", "home", "space", "w", "w", "V")
        assert [span.quote for span in screen.draft.spans] == ["Try"]
        assert screen.text.selection is not None  # still there, to be mended
        assert any("overlap your V" in notice for notice in notices(app))
        await press(pilot, "escape", "x", "x", "u", "u", "u")
        assert screen.draft.empty
        assert not list(latest_annotations(judged.workspace))


async def test_what_cannot_be_saved_is_said_and_asked_about(judged: Builder) -> None:
    (judged.workspace.path / FOLDER).write_text("a file where the folder should be")
    async with running(judged.workspace, SIZE) as (app, pilot):
        await to_annotate(app, pilot)
        await press(pilot, "D")
        assert "NOT SAVED" in line(app, "counts")
        await press(pilot, "escape")
        assert top(app) == "ConfirmScreen"
        await press(pilot, "n")
        assert top(app) == "AnnotateScreen"
        (judged.workspace.path / FOLDER).unlink()
        await press(pilot, "D", "D")
        assert line(app, "counts").rstrip().endswith("saved")
        assert "NOT" not in line(app, "counts")
        assert saved(judged.workspace).done
        await press(pilot, "escape")
        assert top(app) == "TraceScreen"


async def test_a_change_made_elsewhere_meanwhile_is_not_overwritten(judged: Builder) -> None:
    async with running(judged.workspace, SIZE) as (app, pilot):
        screen = await to_annotate(app, pilot)
        await press(pilot, "D")
        with open_store(judged.workspace) as store:
            from cogtui.store.user_data.annotations import new_annotation

            here = saved(judged.workspace)
            other = new_annotation(here.rollout, TEXT, identity(), after=here)
            store.write_human([other.model_copy(update={"rejected": (SPANS[0],)})])
        await press(pilot, "space", "w", "V")
        assert "elsewhere" in line(app, "counts")
        assert saved(judged.workspace).spans == ()
        assert screen.unsaved


async def test_every_key_is_in_help_and_in_the_palette(judged: Builder) -> None:
    async with running(judged.workspace, SIZE) as (app, pilot):
        screen = await to_annotate(app, pilot)
        told = {does for _, rows in help_sections(app.screen) for _, does in rows}
        bindings = [*AnnotateScreen.BINDINGS, *type(screen.text).BINDINGS]
        assert {binding.description for binding in bindings} <= told  # type: ignore[union-attr]
        commands = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Done", "Undo", "Start from a judge's spans", "Weak, or not"} <= commands


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
async def test_hostile_text_is_annotated_like_any_other(builder: Builder, size: tuple[int, int]) -> None:
    text = "".join(NASTY)
    folder = builder.stage("ppo", "c1", {"condition": "x"})
    builder.rollouts(folder, [text, ""])
    async with running(builder.workspace, size) as (app, pilot):
        screen = await to_annotate(app, pilot)
        for keys in (
            ("space", *("w" * 9), "V"),
            ("G", "space", "left_parenthesis", "o", "left_parenthesis", "S"),
            ("i", "e", "o", "h", "h", "enter", "W", "i"),
            ("J", "enter", "A", "D"),
            ("question_mark", "escape", "u", "U"),
        ):
            await press(pilot, *keys)
            assert_screen_is_plain(app)
            assert top(app) == "AnnotateScreen"
        kept = saved(builder.workspace)
        assert kept.spans
        text = screen.draft.text  # as stored: JSON joins a pair of surrogates
        assert all(text[span.start : span.end] == span.quote for span in kept.spans)
        # An empty completion has nothing to select, and can be done.
        await press(pilot, "p", "n", "p", "space", "w", "V", "e", "x", "enter", "D")
        assert screen.draft.done or len(list(latest_annotations(builder.workspace))) == 2
        assert_screen_is_plain(app)


async def test_at_80_columns_without_colour_everything_is_told_by_letters(
    judged: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running(judged.workspace, (80, 24)) as (app, pilot):
        await to_annotate(app, pilot)
        await press(pilot, "J", "enter", "enter")
        lines = screen_text(app).splitlines()
        assert any(row.startswith("Vb") for row in lines)  # yours, and one still to decide, in one line
        await press(pilot, "i")
        assert any(row.startswith("✓ V") for row in screen_text(app).splitlines())
        assert any(row.startswith("? B") for row in screen_text(app).splitlines())
        await settle(pilot)


def test_the_folder_is_named_in_one_place() -> None:
    assert Path(FOLDER).name == "annotations"
