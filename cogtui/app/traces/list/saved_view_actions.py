"""Saved views: `v` opens, saves or deletes one, on every screen that lists rollouts or problems."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from cogtui.app.shell.dialogs import AskScreen, ChoiceScreen
from cogtui.app.shell.screen_base import AppScreen
from cogtui.store.user_data.views import View, ViewsFile, read_views, remove_view, save_view

_SAVE = "save this list as a view"
_DELETE = "delete a view"


class SavedViewActions(AppScreen):
    """A screen whose filter, order and columns can be saved and restored."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "views", "Views")]

    def view_here(self, name: str) -> View:
        """Return the current view under a name."""
        raise NotImplementedError

    def show_view(self, view: View) -> None:
        """Show a view."""
        raise NotImplementedError

    def action_views(self) -> None:
        """Ask for a view to open, save or delete."""
        self.run_worker(self._ask_view(), group="views", exclusive=True)

    async def _ask_view(self) -> None:
        kept = await self.fetch(self.context.work.call(lambda _: read_views()))
        if kept is None:
            return
        choices = [f"{view.name}   {self._gist(view)}" for view in kept.views]
        choices += [_SAVE] + ([_DELETE] if kept.views else [])

        def chosen(index: int | None) -> None:
            if index is None:
                return
            if index < len(kept.views):
                self.show_view(kept.views[index])
            elif choices[index] == _SAVE:
                self._ask_name()
            else:
                self._ask_which_to_delete(kept)

        self.app.push_screen(ChoiceScreen("Which view?", choices), chosen)

    @staticmethod
    def _gist(view: View) -> str:
        return f"{view.filter or 'everything'}  by {(view.groups and 'problem ' + view.groups) or view.sort}"

    def _ask_name(self) -> None:
        def named(name: str | None) -> None:
            if name is not None:
                view = self.view_here(name.strip())
                self.run_worker(self._apply_selection(view), group="views", exclusive=True)

        self.app.push_screen(AskScreen("Name of the view?", wrong=_wrong_name), named)

    async def _apply_selection(self, view: View) -> None:
        kept = await self.fetch(self.context.work.call(lambda _: save_view(view)))
        if kept is not None:
            self.show_message(f"saved: {view.name}. On the command line: cogtui rollouts --view '{view.name}'")

    def _ask_which_to_delete(self, kept: ViewsFile) -> None:
        def chosen(index: int | None) -> None:
            if index is not None:
                name = kept.views[index].name
                self.run_worker(self._forget(name), group="views", exclusive=True)

        self.app.push_screen(ChoiceScreen("Delete which view?", [view.name for view in kept.views]), chosen)

    async def _forget(self, name: str) -> None:
        if await self.fetch(self.context.work.call(lambda _: remove_view(name))) is not None:
            self.show_message(f"deleted: {name}")


def _wrong_name(name: str) -> str:
    if not name.strip():
        return "a view needs a name"
    return "" if len(name.strip()) <= 60 and name.isprintable() else "at most 60 printable characters"
