"""Which experiments a screen of curves shows: one, or several told apart by their names."""

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.shell.snapshot import WorkspaceSnapshot


class ExperimentChoice(AppScreen):
    """Keys that choose experiments. Subclasses implement `load_soon`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "experiment(1)", "Next experiment", show=False),
        Binding("o", "choose_experiment", "Choose an experiment", show=False),
        Binding("O", "add_experiment", "Put another experiment beside it", show=False),
    ]

    experiments: tuple[str, ...] = ()
    """Names of the experiments that are shown; empty where there is none, then all rollouts are."""
    step: int | None = None
    """The step of the cursor."""

    def load_soon(self) -> None:
        """Read again in the background."""
        raise NotImplementedError

    def wanted_experiments(self, snapshot: WorkspaceSnapshot) -> tuple[str, ...]:
        """Return the experiments to show: those chosen, else the one of mode 1, else the newest."""
        names = [one.name for one in snapshot.experiments]
        kept = tuple(name for name in self.experiments if name in names)
        if kept:
            return kept
        if self.context.experiment in names:
            return (self.context.experiment,)
        return tuple(names[:1])

    def action_experiment(self, by: int) -> None:
        """Show another experiment."""
        names = [one.name for one in self.context.snapshot.experiments]
        if len(names) < 2:
            self.show_message("there is no other experiment")
        else:
            now = names.index(self.experiments[0]) if self.experiments and self.experiments[0] in names else 0
            self._show_experiments((names[(now + by) % len(names)],))

    def _show_experiments(self, names: tuple[str, ...]) -> None:
        self.experiments = names
        self.context.experiment = names[0]
        self.step = None
        self.load_soon()

    def action_choose_experiment(self) -> None:
        """Ask which experiment to show."""
        self._ask_experiment("Which experiment?", lambda name: (name,))

    def action_add_experiment(self) -> None:
        """Ask which experiment to show beside these, or to leave out again."""

        def toggled(name: str) -> tuple[str, ...]:
            if name in self.experiments:
                return tuple(one for one in self.experiments if one != name) or (name,)
            return (*self.experiments, name)

        self._ask_experiment("Which experiment beside it?", toggled)

    def _ask_experiment(self, question: str, names_for: Callable[[str], tuple[str, ...]]) -> None:
        names = [one.name for one in self.context.snapshot.experiments]
        if not names:
            self.show_message("there is no experiment here")
            return

        def chosen(index: int | None) -> None:
            if index is not None:
                self._show_experiments(names_for(names[index]))

        titles = [f"{'●' if name in self.experiments else '○'} {printable_line(name, 80)}" for name in names]
        self.app.push_screen(ChoiceScreen(question, titles), chosen)
