"""A note and tags on the rollout at hand, for the list and the reader."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from cogtui.app.shell.dialogs import AskScreen, wrong_tags
from cogtui.app.shell.screen_base import AppScreen
from cogtui.store import RolloutRow, Store


class NoteActions(AppScreen):
    """Writes what `cogtui note` writes. Subclasses say which rollout is meant."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "note", "Note"),
        Binding("number_sign", "tags", "Tags", show=False, key_display="#"),
    ]

    @property
    def rollout_here(self) -> RolloutRow | None:
        """The rollout that the actions apply to."""
        raise NotImplementedError

    def note_written(self) -> None:
        """Show the rollout with its new note or tags."""

    def action_note(self) -> None:
        """Write a note on the rollout; an empty one removes it."""
        self.run_worker(self._ask(tags=False), group="note", exclusive=True)

    def action_tags(self) -> None:
        """Set the tags of the rollout."""
        self.run_worker(self._ask(tags=True), group="note", exclusive=True)

    async def _ask(self, *, tags: bool) -> None:
        row = self.rollout_here
        if row is None:
            self.show_message("there is no rollout to write on")
            return
        detail = await self.fetch(self.context.store.call(lambda store: store.rollout_of(row)))
        if detail is None:
            return

        def entered(text: str | None) -> None:
            if text is not None:
                self.run_worker(self._write(row.id, text, tags=tags), group="note", exclusive=True)

        if tags:
            question, now = "Tags of this rollout, with blanks between", " ".join(detail.tags)
            self.app.push_screen(AskScreen(question, now, wrong=wrong_tags), entered)
        else:
            self.app.push_screen(AskScreen("Note on this rollout, empty for none", detail.note), entered)

    async def _write(self, rollout: str, text: str, *, tags: bool) -> None:
        wanted = sorted(set(text.split())) if tags else None
        note = None if tags else text.strip()

        def write(store: Store) -> bool:
            store.annotate(rollout, note=note, tags=wanted)
            return True

        if await self.fetch(self.context.store.call(write)):
            self.show_message("tags saved" if tags else "note saved" if note else "note removed")
            self.note_written()
