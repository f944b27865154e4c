"""The report of an experiment, written from the app as `cogtui report` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from cogtui.app.shell.dialogs import AskScreen
from cogtui.app.shell.screen_base import AppScreen
from pipelines.errors import InvalidInput
from pipelines.files import expand_user

if TYPE_CHECKING:
    from cogtui.store import Store
    from jobs.planning.experiments import Experiment


class ReportActions(AppScreen):
    """Writes the report of an experiment. Subclasses say which one is meant."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("R", "report", "Report")]

    @property
    def reported_experiment(self) -> Experiment | None:
        """The experiment that the action applies to."""
        raise NotImplementedError

    def action_report(self) -> None:
        """Ask for a folder, and write the report of the experiment into it."""
        experiment = self.reported_experiment
        if experiment is None:
            self.show_message("there is no experiment to report on")
            return

        def named(folder: str | None) -> None:
            if folder and folder.strip():
                self.show_message("writing the report")
                out = expand_user(Path(folder.strip()))
                self.run_worker(self._write_report(experiment, out), group="report")

        # A snapshot can name its experiment anything, a path included.
        safe = "".join(char if char.isalnum() or char in "-_." else "-" for char in experiment.name[:80])
        default = f"{safe.lstrip('.')}-report"
        self.app.push_screen(AskScreen("Write the report into which folder?", default, wrong=_wrong_folder), named)

    async def _write_report(self, experiment: Experiment, out: Path) -> None:
        def write(store: Store) -> tuple[Path, ...]:
            from cogtui.analysis.report.write import write_report

            store.ingest()
            return write_report(experiment, store, out).files

        files = await self.fetch(self.context.judging.call(write))
        if files is not None:
            self.show_message("\n".join(f"written: {file}" for file in files))


def _wrong_folder(text: str) -> str:
    try:
        folder = expand_user(Path(text.strip()))
    except InvalidInput as error:
        return error.summary
    return f"{text} is a file" if folder.is_file() else ""
