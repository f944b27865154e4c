"""The first screen of a workspace without experiments: recipes to start, files to read, what this machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

from textual import on
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from cogtui.app.experiments.published_chart import PublishedChart
from cogtui.app.rendering.styles import INK_STYLES, Part
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.shell.dialogs import AskScreen
from cogtui.app.shell.opening import OpenLaunch
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.detail_pane import DetailPane, labelled_rows
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.text_rows import TextRows
from jobs.recipe.bundled import RecipeSummary
from pipelines.errors import CogtuiError, InvalidInput
from pipelines.files import expand_user

if TYPE_CHECKING:
    from cogtui.app.curves.chart import ChartLine

_NAME = 29
_HIGH = 32
_TAKES = 12
_API_KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")


class MachineFacts(NamedTuple):
    """What the start page says about this machine."""

    cores: int
    gpus: int
    has_slurm: bool
    free_bytes: int


def machine_facts(place: Path) -> MachineFacts:
    """Count cores and GPUs, look for Slurm, and measure the free space where a workspace would be."""
    from jobs.local.slots import Machine
    from jobs.slurm.client import is_installed

    existing = next(path for path in (place, *place.parents) if path.exists())
    return MachineFacts(os.cpu_count() or 1, len(Machine.here().gpus), is_installed(), shutil.disk_usage(existing).free)


class RecipeList(LineView):
    """The bundled recipes: name, what it shows, and how long it takes."""

    TITLE = "list of recipes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Set up and launch"),
        Binding("o", "open_file", "Open a file"),
        Binding("s", "showcase", "Showcase"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.recipes: Sequence[RecipeSummary] = ()

    @property
    def line_count(self) -> int:
        return len(self.recipes)

    def show_recipes(self, recipes: Sequence[RecipeSummary]) -> None:
        """Show recipes."""
        self.recipes = recipes
        self.lines_changed(cursor=0)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        recipe = self.recipes[line]
        takes = _short(recipe)
        room = max(0, width - _NAME - _TAKES - 1)
        return [
            (f" {fit(printable_line(recipe.name, 60), _NAME - 2)} ", "chosen" if line == self.cursor else ""),
            (fit(printable_line(recipe.shows, 200), room), "dim"),
            (f" {fit(takes, _TAKES, right=True)}", ""),
        ]

    def action_open_file(self) -> None:
        """Ask for a rollout file and read it in the trace browser."""
        self.app.push_screen(
            AskScreen("Which rollout file, or folder of them?", wrong=_missing_path), self._open_chosen
        )

    def _open_chosen(self, path: str | None) -> None:
        if path:
            self._run("open", str(Path(path).expanduser()))

    def action_showcase(self) -> None:
        """Read the rollouts that come with cogtui."""
        self._run("showcase")

    def _run(self, *arguments: str) -> None:
        """Run another cogtui in this terminal, and come back when it ends."""
        screen = cast("AppScreen", self.screen)
        try:
            with self.app.suspend():
                done = subprocess.run([sys.executable, "-P", "-m", "cogtui", *arguments], check=False)
                if done.returncode:
                    input(f"cogtui {arguments[0]} ended with code {done.returncode}; Enter goes back ")
        except (OSError, EOFError, SuspendNotSupported) as error:
            screen.show_error(
                CogtuiError(f"it cannot be shown from here: {error}", remedy=f"Run: cogtui {' '.join(arguments)}")
            )


class StartPage(Vertical):
    """Recipes with one line each, and what else one can do with nothing there.

    Args:
        recipes: the bundled recipes; read before the page is made, so that it is painted once.
        published: the published curves, likewise.
    """

    def __init__(self, recipes: Sequence[RecipeSummary], published: Sequence[ChartLine] = ()) -> None:
        super().__init__()
        self._recipes = recipes
        self._published = published

    def compose(self) -> ComposeResult:
        yield TextRows(widget_id="start-title")
        with Vertical(classes="start-panels"):
            with Vertical(classes="panel", id="recipes") as recipes:
                recipes.border_title = "Start an experiment"
                recipes.border_subtitle = "N from anywhere"
                yield RecipeList()
                yield DetailPane("recipe-facts")
            with Vertical(classes="start-side"):
                with Vertical(classes="panel", id="look") as look:
                    look.border_title = "Look first"
                    yield _still(DetailPane("look-rows"))
                with Vertical(classes="panel", id="machine") as machine:
                    machine.border_title = "This machine"
                    machine.border_subtitle = "cogtui doctor"
                    yield _still(DetailPane("machine-rows"))
                with Vertical(classes="panel", id="published") as published:
                    published.border_title = "Accuracy in the paper, 3B models"
                    published.border_subtitle = "four-habits-mini repeats it in small"
                    yield PublishedChart(self._published)
                with Vertical(classes="panel", id="after") as after:
                    after.border_title = "What you launch goes on when you leave"
                    yield _still(DetailPane("after-rows"))

    def on_mount(self) -> None:
        title: list[Part] = [(" Four habits of a reasoner  ", "strong")]
        for behavior, style in INK_STYLES.items():
            title.append((f" {behavior.replace('_', ' ')} ", style))
        self.query_one("#start-title", TextRows).show_rows(
            [title, [(" Train small models with and without them, watch who learns, read why.", "dim")]]
        )
        self.query_one("#look-rows", DetailPane).show_rows(
            [
                [
                    ("o ", "key"),
                    ("Open a file   ", ""),
                    ("verl, TRL, JSONL, parquet …", "dim"),
                ],
                [
                    ("s ", "key"),
                    ("Showcase      ", ""),
                    ("rollouts that come with cogtui", "dim"),
                ],
                [("$ ", "key"), ("In the shell  ", ""), ("cogtui run RECIPE", "dim")],
            ]
        )
        view = self.query_one(RecipeList)
        if self.app.size.height >= _HIGH:
            view.styles.height = len(self._recipes)  # what the list does not need, the facts get
        view.show_recipes(self._recipes)
        self.query_one("#after-rows", DetailPane).show_with(_after_rows)
        self._show_recipe()

    def focus_recipes(self) -> None:
        """Put the keys on the list of recipes."""
        self.query_one(RecipeList).focus()

    def show_machine(self, facts: MachineFacts) -> None:
        """Show what this machine has."""
        self.query_one("#machine-rows", DetailPane).show_with(lambda width: _machine_rows(facts, width))

    @on(LineView.CursorMoved)
    def _show_recipe(self) -> None:
        view = self.query_one(RecipeList)
        recipe = view.recipes[view.cursor] if view.recipes else None
        self.query_one("#recipe-facts", DetailPane).show_with(lambda width: _recipe_rows(recipe, width))

    @on(LineView.LineSelected)
    def _recipe_chosen(self, event: LineView.LineSelected) -> None:
        event.stop()
        recipe = self.query_one(RecipeList).recipes[event.line]
        self.post_message(OpenLaunch(cast("AppScreen", self.screen), recipe.path))


def import_config_models(recipe: Path) -> None:
    """Read a recipe's form, which imports what takes a third of a second, before the first launch needs it."""
    from cogtui.app.launch.draft import LaunchDraft
    from cogtui.app.launch.preview import read_form

    read_form(LaunchDraft(recipe))


def _still(pane: DetailPane) -> DetailPane:
    pane.can_focus = False
    return pane


def _short(recipe: RecipeSummary) -> str:
    if recipe.gpus:
        return f"{recipe.gpus} GPUs"
    return recipe.takes.partition(" on ")[0].partition(":")[0]


def _recipe_rows(recipe: RecipeSummary | None, width: int) -> list[list[Part]]:
    if recipe is None:
        return []
    takes = recipe.takes or "not measured"
    needs = f"{recipe.gpus} GPUs a node" if recipe.gpus else "no GPU"
    text: list[list[Part]] = []
    for line in _recipe_text(recipe):
        text.append([(printable_line(line, 200), "faint" if line.startswith("#") else "dim")])
    return [
        [],
        *labelled_rows("shows", recipe.shows, width, limit=4),
        *labelled_rows("takes", f"{takes}; {needs}", width, limit=1),
        *labelled_rows("edit", f"cogtui recipes {recipe.name} > mine.toml", width, "dim", limit=1),
        [],
        *text,
    ]


def _recipe_text(recipe: RecipeSummary) -> list[str]:
    try:
        return recipe.path.read_text(encoding="utf-8").splitlines()[:60]
    except (OSError, UnicodeDecodeError):
        return []  # a recipe that changed on disk meanwhile; launching it says what is wrong


def _machine_rows(facts: MachineFacts, width: int) -> list[list[Part]]:
    keys = ", ".join(f"{name} {'set' if os.environ.get(name) else 'not set'}" for name in _API_KEYS)
    gpus = f"{facts.gpus} GPU{'s' if facts.gpus > 1 else ''}" if facts.gpus else "no GPU"
    cores = f"{facts.cores} core{'s' if facts.cores > 1 else ''}, {gpus}, {facts.free_bytes / 1e9:.0f} GB free"
    slurm = "installed: choose the cluster slurm when you launch" if facts.has_slurm else "not installed here"
    return [
        *labelled_rows("here", cores, width, limit=1),
        *labelled_rows("Slurm", slurm, width, limit=1),
        *labelled_rows("keys", keys, width, limit=2),
    ]


def _after_rows(width: int) -> list[list[Part]]:
    text = "Close the app, the shell or the connection, and find it again with `cogtui` in the same folder."
    return labelled_rows("", text, width, "dim", indent=0, limit=3)


def _missing_path(text: str) -> str:
    try:
        return "" if expand_user(Path(text)).exists() else f"there is no file {text}"
    except InvalidInput as error:
        return error.summary
