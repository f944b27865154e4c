"""Actions on the experiment shown: note, tags, archive, delete and its undoing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.dialogs import AskScreen, ConfirmScreen, wrong_tags
from cogtui.app.shell.screen_base import AppScreen
from pipelines.wording import count_of

if TYPE_CHECKING:  # imported by the thread that deletes
    from jobs.submit.deletion import Deletion, TrashedExperiment


class ExperimentActions(AppScreen):
    """Does what `cogtui note --experiment`, `archive` and `delete` do. Subclasses say to which experiment."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "note_experiment", "Note", show=False),
        Binding("number_sign", "tag_experiment", "Tags", show=False, key_display="#"),
        Binding("A", "archive", "Archive", show=False),
        Binding("D", "delete", "Delete", show=False),
        Binding("u", "undelete", "Undo delete", show=False),
    ]

    @property
    def experiment_name(self) -> str | None:
        """Name of the experiment that the actions apply to."""
        raise NotImplementedError

    def action_note_experiment(self) -> None:
        """Write a note on the experiment; an empty one removes it."""
        self._ask_note(tags=False)

    def action_tag_experiment(self) -> None:
        """Set the tags of the experiment."""
        self._ask_note(tags=True)

    def _ask_note(self, *, tags: bool) -> None:
        name = self.experiment_name
        if name is None:
            self.show_message("there is no experiment to write on")
            return
        found = self.context.snapshot.notes.get(name)
        now = found.note if found is not None else ""
        tagged = " ".join(found.tags) if found is not None else ""

        def entered(text: str | None) -> None:
            if text is not None:
                self.run_worker(self._write_note(name, text, tags=tags), group="note", exclusive=True)

        shown = printable_line(name, 60)
        if tags:
            question = f"Tags of {shown}, with blanks between"
            self.app.push_screen(AskScreen(question, tagged, wrong=wrong_tags), entered)
        else:
            self.app.push_screen(AskScreen(f"Note on {shown}, empty for none", now), entered)

    async def _write_note(self, name: str, text: str, *, tags: bool) -> None:
        workspace = self.context.workspace

        def write() -> bool:
            from jobs.planning.experiment_notes import write_experiment_note

            if tags:
                write_experiment_note(workspace, name, tags=text.split())
            else:
                write_experiment_note(workspace, name, note=text.strip())
            return True

        if await self.fetch(self.context.control.call(lambda _: write())):
            self.show_message("tags saved" if tags else "note saved" if text.strip() else "note removed")

    def action_archive(self) -> None:
        """Hide the experiment from lists after confirmation; nothing is deleted."""
        name = self.experiment_name
        if name is None:
            return
        stays = [
            "Its stages, rollouts and models stay where they are.",
            "Starting its recipe again, or this command, brings it back:",
            f"cogtui archive --undo {name}",
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._archive(name), group="archive", exclusive=True)

        self.app.push_screen(ConfirmScreen(f"Archive {printable_line(name, 60)}?", stays), answered)

    async def _archive(self, name: str) -> None:
        from jobs.planning.archive import archive_experiment

        workspace = self.context.workspace

        def archive() -> bool:
            archive_experiment(workspace, name)
            return True

        if await self.fetch(self.context.control.call(lambda _: archive())):
            self.show_message(f"archived {printable_line(name, 60)}")

    def action_delete(self) -> None:
        """Move the experiment to the trash, after saying what goes and what stays."""
        if self.experiment_name is None:
            self.show_message("there is no experiment to delete")
        else:
            self.run_worker(self._ask_delete(self.experiment_name), group="delete", exclusive=True)

    async def _ask_delete(self, name: str) -> None:
        workspace = self.context.workspace
        self.show_message("looking at what it has and what others share")

        def plan() -> tuple[Deletion, list[str]]:
            from jobs.submit.deletion import describe_deletion, plan_deletion

            found = plan_deletion(workspace, name)
            return found, describe_deletion(found)

        answer = await self.fetch(self.context.control.call(lambda _: plan()))
        if answer is None:
            return
        found, lines = answer
        shown = printable_line(name, 60)
        if found.active:
            running = count_of(len(found.active), "stage")
            self.show_message(f"{shown} is not deleted: {running} run or wait; cancel them first (x)", bad=True)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._delete(found), group="delete", exclusive=True)

        lines.append("u here, or cogtui delete --undo, brings it back until the trash is emptied.")
        self.app.push_screen(ConfirmScreen(f"Delete {shown}?", lines), answered)

    async def _delete(self, plan: Deletion) -> None:
        workspace = self.context.workspace

        def delete() -> bool:
            from jobs.submit.deletion import delete_experiment

            delete_experiment(workspace, plan)
            return True

        if await self.fetch(self.context.control.call(lambda _: delete())):
            moved = count_of(len(plan.keys), "stage")
            self.show_message(f"deleted {printable_line(plan.name, 60)}: {moved} in the trash; u brings it back")

    def action_undelete(self) -> None:
        """Bring back the experiment that was deleted last."""
        self.run_worker(self._undelete(), group="delete", exclusive=True)

    async def _undelete(self) -> None:
        workspace = self.context.workspace

        def restore() -> TrashedExperiment:
            from jobs.submit.deletion import restore_deleted

            return restore_deleted(workspace)

        found = await self.fetch(self.context.control.call(lambda _: restore()))
        if found is not None:
            self.show_message(f"{printable_line(found.name, 60)} is back")
