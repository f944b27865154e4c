"""The exact scripts or command lines of a launch, to read and copy."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cogtui.app.launch.plan_rows import Rows
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.detail_pane import DetailPane, labelled_rows


class ScriptsScreen(AppScreen):
    """One script a stage.

    Args:
        cluster: `local` or `slurm`.
        scripts: title of the stage and text.
    """

    MODE = "Experiments"
    HELP_TITLE = "Scripts"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy_scripts", "Copy")]

    def __init__(self, cluster: str, scripts: Sequence[tuple[str, str]]) -> None:
        super().__init__(f"launch › {'sbatch scripts' if cluster == 'slurm' else 'commands'}")
        self.scripts = list(scripts)

    def compose_body(self) -> ComposeResult:
        yield DetailPane("scripts")

    def on_mount(self) -> None:
        pane = self.query_one(DetailPane)
        pane.show_with(self._rows)
        pane.focus()

    def _rows(self, width: int) -> Rows:
        if not self.scripts:
            return [[(" every stage is finished or under way: nothing would be started", "dim")]]
        rows: Rows = []
        for title, text in self.scripts:
            rows += [[(printable_line(title, 200), "heading")], *labelled_rows("", text, width, indent=0, limit=200)]
            rows.append([])
        return rows

    def action_copy_scripts(self) -> None:
        """Copy all scripts."""
        self.copy("\n\n".join(text.rstrip("\n") for _, text in self.scripts), "the scripts")
