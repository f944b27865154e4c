"""What belongs to no single screen: help, palette, themes, the way in and out, what an idle app sends."""

import subprocess
import sys
from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.widgets import Input

from cogtui.app import main
from cogtui.app.application import CogtuiApp
from cogtui.app.rendering.styles import SPAN_STYLES, resolve_styles
from cogtui.app.rendering.themes import THEMES
from cogtui.app.screenshots import main as screenshots_main
from cogtui.app.shell.dialogs import ConfirmScreen
from cogtui.app.shell.help import HelpScreen, help_sections
from cogtui.app.widgets.bars import KeyBar, TopBar
from cogtui.preferences import default_theme
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement
from tests.app.conftest import Builder
from tests.app.driving import indexed, notices, press, running, screen_text, settle


async def test_help_lists_the_keys_of_the_focused_pane_first(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        await press(pilot, "question_mark")
        screen = app.screen
        assert isinstance(screen, HelpScreen)
        titles = [title for title, _ in screen.sections]
        assert titles == ["In this matrix", "On this screen: Experiments", "Everywhere"]
        rows = dict(screen.sections)
        assert ("Enter", "Open") in rows["In this matrix"]
        assert ("l", "Log") in rows["On this screen: Experiments"]
        assert ("q Ctrl+Q", "Quit") in rows["Everywhere"]
        await press(pilot, "escape", "2", "tab", "question_mark")
        assert isinstance(app.screen, HelpScreen)
        assert app.screen.sections[0][0] == "In this pane of details"
        assert ("Enter", "Open") not in app.screen.sections[0][1]


@pytest.mark.parametrize("size", [(120, 36), (80, 24), (40, 12)])
async def test_a_confirmation_shows_its_details_whole(small: Builder, size: tuple[int, int]) -> None:
    details = [" ".join(f"word{n}" for n in range(40)), "a [b]name[/b] \x1b[2J", "the end"]
    async with running(small.workspace, size) as (app, pilot):
        app.push_screen(ConfirmScreen("Sure?", details))
        await settle(pilot)
        seen: set[str] = set()
        for _ in range(14):
            seen.update(screen_text(app).replace("│", " ").split())
            await press(pilot, "down")
        assert {*details[0].split(), "[b]name[/b]", "end", "Sure?", "yes", "no"} <= seen
        assert "\x1b" not in "".join(seen)


async def test_the_palette_names_keys_as_users_type_them(small: Builder) -> None:
    async with running(small.workspace) as (app, _):
        commands = {command.title.split(" (")[0]: command.help for command in app.get_system_commands(app.screen)}
        assert commands["Help"] == "key ?"
        assert not [told for told in commands.values() if "_" in told]


async def test_every_binding_with_a_description_is_in_help(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        for mode in ("1", "2", "3", "4"):
            await press(pilot, mode)
            shown = {description for _, rows in help_sections(app.screen) for _, description in rows}
            for active in app.screen.active_bindings.values():
                known = {"Focus Next": "Next pane", "Focus Previous": "Previous pane", "Copy selected text": ""}
                name = known.get(active.binding.description, active.binding.description)
                assert not name or active.binding.system or name in shown


async def test_the_bar_below_shows_bound_keys_only(small: Builder) -> None:
    async with running(small.workspace, (80, 24)) as (app, pilot):
        text = app.screen.query_one(KeyBar).render_line(0).text
        assert text.startswith(" Enter Open")
        assert text.rstrip().endswith("q Quit")
        await press(pilot, "3", "slash")
        text = app.screen.query_one(KeyBar).render_line(0).text
        assert "Quit" not in text
        assert "Enter Apply" in text


async def test_the_palette_runs_what_it_shows_and_does_not_blink(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        await press(pilot, "colon")
        assert isinstance(app.screen, CommandPalette)
        assert not app.screen.query_one(Input).cursor_blink
        await pilot.press(*"next exper")
        for _ in range(20):
            await settle(pilot)
        await press(pilot, "enter")
        for _ in range(5):
            await settle(pilot)
        assert app.screen.query_one("#summary").text.startswith(" older (2 of 2)")  # type: ignore[attr-defined]


async def test_every_theme_of_textual_can_be_chosen(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        for name in app.available_themes:
            app.theme = name
            await settle(pilot)
            assert app.screen.query_one(TopBar).render_line(0).text


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
async def test_spans_look_different_from_each_other_and_are_readable(small: Builder, theme: object) -> None:
    async with running(small.workspace) as (app, pilot):
        app.theme = theme.name  # type: ignore[attr-defined]
        await settle(pilot)
        styles = resolve_styles(app.theme_variables, no_color=False)
        backgrounds = [styles[style].bgcolor for style in SPAN_STYLES.values()]
        assert len(set(backgrounds)) == 4
        from textual.color import Color

        text = Color.parse(app.theme_variables["foreground"])
        for background in backgrounds:
            assert background is not None
            assert Color.from_rich_color(background).get_contrast_text().brightness == pytest.approx(
                round(text.brightness), abs=0.2
            ), "dark text on light spans, light text on dark ones"


async def test_without_colour_spans_are_told_by_the_gutter_and_stand_out(
    small: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COGTUI_THEME", "ansi-dark")
    async with running(small.workspace) as (app, _):
        assert app.no_color
        assert app.theme == "cogtui-dark", "an ANSI theme without colour is black on black"
        styles = resolve_styles(app.theme_variables, no_color=True)
        assert all(styles[style].bold for style in SPAN_STYLES.values())


def test_the_theme_follows_the_terminal_or_the_wish() -> None:
    assert default_theme({}) == "cogtui-dark"
    assert default_theme({"COLORFGBG": "0;15"}) == "cogtui-light"
    assert default_theme({"COLORFGBG": "15;0"}) == "cogtui-dark"
    assert default_theme({"COGTUI_THEME": "light", "COLORFGBG": "15;0"}) == "cogtui-light"
    assert default_theme({"COGTUI_THEME": "nord"}) == "nord"


def test_without_a_terminal_it_says_what_to_use_instead(tmp_path: Path) -> None:
    with pytest.raises(MissingRequirement, match="needs a terminal"):
        main.run_app(Workspace(tmp_path))


async def test_the_browser_alone_offers_what_needs_no_stages(small: Builder) -> None:
    opener = indexed(small.workspace)
    async with running(small.workspace, title="x.jsonl", browse_only=True, opener=opener) as (app, pilot):
        assert app.current_mode == "Traces"
        assert [title for _, title in app.modes_shown] == ["Traces", "Judges"]
        await press(pilot, "1", "2")
        assert app.current_mode == "Traces"


async def test_an_unreadable_index_is_told_once_and_leaves_the_rest_alone(small: Builder) -> None:
    def opener() -> object:
        raise MissingRequirement("no place for the index")

    async with running(small.workspace, opener=opener) as (app, pilot):
        for _ in range(3):
            app.poll()
            await settle(pilot)
        messages = notices(app)
        assert messages == ["the index cannot be opened: no place for the index"]
        assert app.context.snapshot.experiments


def count_repaints(app: CogtuiApp, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Takes down what the app would send to the terminal from now on."""
    repaints: list[object] = []
    monkeypatch.setattr(app, "_display", lambda screen, update: repaints.append(update))
    return repaints


async def test_nothing_is_repainted_while_nothing_changes(small: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    small.done(small.workspace.folder("ppo-0000000000c2"))
    async with running(small.workspace) as (app, pilot):
        for mode in ("1", "2", "3", "4"):
            await press(pilot, mode)
            repaints = count_repaints(app, monkeypatch)
            for _ in range(3):
                app.poll()
                await settle(pilot)
            monkeypatch.undo()
            assert repaints == [], f"mode {mode}"


async def test_a_covered_screen_repaints_nothing_either(small: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(small.workspace) as (app, pilot):
        for keys in (["2", "down", "l"], ["question_mark"], ["escape", "3", "slash"]):
            await press(pilot, *keys)
            repaints = count_repaints(app, monkeypatch)
            for _ in range(3):
                app.poll()
                await settle(pilot)
            monkeypatch.undo()
            assert repaints == [], f"after {keys}"


async def test_a_covered_screen_catches_up(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        await press(pilot, "down", "right", "l")
        small.done(small.workspace.folder("ppo-0000000000c2"))
        for _ in range(2):
            app.poll()
            await settle(pilot)
        await press(pilot, "escape")
        (row,) = [line for line in screen_text(app).splitlines() if "all_strategies" in line and "failed" in line]
        assert "✓ done" in row.split("failed")[1]


def test_screenshots_are_written_for_what_there_is(
    small: Builder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small.workspace.folder("ppo-0000000000c1")
    small.rollouts(folder, ["That is not 32."])
    assert screenshots_main([str(small.workspace.path), str(tmp_path / "shots")]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    expected = ["1-experiments.svg", "1-compare.svg", "2-jobs.svg", "2-log.svg", "3-traces.svg", "3-trace.svg"]
    expected += ["4-curves.svg", "5-judges.svg", "help.svg"]  # the judge there is, against the rules judge run live
    assert names == expected
    for name in names:
        assert (tmp_path / "shots" / name).read_text().startswith("<svg")


def test_the_app_imports_nothing_heavy() -> None:
    code = (
        "import sys, cogtui.app.main, cogtui.app.traces.reader.screen, cogtui.app.stages.log_screen\n"
        "heavy = {'torch', 'transformers', 'trl', 'vllm', 'openai', 'anthropic', 'datasets', 'submitit', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_ctrl_z_suspends_also_while_a_text_is_typed(small: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    suspended: list[str] = []
    monkeypatch.setattr(CogtuiApp, "action_suspend_process", lambda app: suspended.append(type(app.screen).__name__))
    async with running(small.workspace) as (_, pilot):
        await press(pilot, "ctrl+z", "3", "slash", "ctrl+z")
    assert suspended == ["ExperimentsScreen", "TracesScreen"]
