"""Actions on the stage under the cursor, for every screen that shows stages."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from cogtui.app.rendering.states import ENDED_BADLY
from cogtui.app.shell.dialogs import ConfirmScreen
from cogtui.app.shell.opening import OpenRolloutList
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.stages.control import ActOnStages, cancel_stages, list_dependents, retry_stages, stages_with_rollouts
from jobs.recipe.labels import label_text
from jobs.state.types import ACTIVE, CONTINUABLE, RETRYABLE, StageState


class StageActions(AppScreen):
    """Opens the log and the rollouts of a stage, cancels it and starts it again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "open_log", "Log"),
        Binding("t", "open_traces", "Traces"),
        Binding("x", "cancel", "Cancel", show=False),
        Binding("r", "retry", "Start again", show=False),
        Binding("y", "copy_path", "Copy the folder's path", show=False),
        Binding("Y", "copy_command", "Copy the command that shows it", show=False),
    ]

    @property
    def stage_key(self) -> str | None:
        """Key of the stage that the actions apply to."""
        raise NotImplementedError

    @property
    def stage(self) -> StageState | None:
        """State of the stage in the latest snapshot."""
        return self.context.snapshot.states.get(self.stage_key or "")

    def action_open_stage(self) -> None:
        """Open the log at the error for a stage that ended badly, the rollouts if it has some, else the log."""
        stage = self.stage
        if stage is None:
            self.show_message("nothing to open here")
        elif stage.state in ENDED_BADLY or stage.state == "unknown":
            self.action_open_log()
        elif stage.state in ("planned", "queued", "blocked"):
            self.show_message(stage.reason or f"{stage.state}: it has not started, so there is no log yet")
        elif stage.state == "done":
            self.action_open_traces(or_log=True)
        else:
            self.action_open_log()

    def action_open_log(self) -> None:
        """Open the log, at its first error if the stage failed."""
        if self.stage is not None:
            from cogtui.app.stages.log_screen import LogScreen

            failed = self.stage.state in ENDED_BADLY
            self.app.push_screen(LogScreen(self.mode, self.stage.key, failed=failed))

    def action_open_traces(self, or_log: bool = False) -> None:
        """Open the rollouts of the stage, or those that it judged."""
        if self.stage is not None:
            self.run_worker(self._open_traces(self.stage.key, or_log), group="open", exclusive=True)

    async def _open_traces(self, key: str, or_log: bool) -> None:
        workspace = self.context.workspace
        sources = await self.fetch(self.context.work.call(lambda _: stages_with_rollouts(workspace, key)))
        if sources:
            text = " OR ".join(f"stage:{source}" for source in sources)
            self.post_message(OpenRolloutList(self, f"{key} › traces", text))
        elif or_log:
            self.action_open_log()
        else:
            self.show_message("this stage writes no rollouts")

    def action_cancel(self) -> None:
        """Cancel the stage after confirmation."""
        stage = self.stage
        if stage is None or stage.state not in ACTIVE:
            self.show_message("only running or waiting stages can be cancelled")
            return
        self.run_worker(self._ask_cancel(stage), group="act")

    async def _ask_cancel(self, stage: StageState) -> None:
        workspace = self.context.workspace
        along = await self.fetch(self.context.control.call(lambda _: list_dependents(workspace, [stage.key])))
        if along is None:
            return
        others = [self.context.snapshot.states[key] for key in along if key in self.context.snapshot.states]
        question = "Cancel this stage and those that wait for it?" if others else "Cancel this stage?"
        self._confirm(question, [stage, *others], cancel_stages, "cancelled")

    def action_retry(self) -> None:
        """Start a failed or stopped stage again after confirmation."""
        stage = self.stage
        if stage is None or stage.state not in RETRYABLE | CONTINUABLE:
            self.show_message("only stages that failed, were stopped or never started can be started again")
            return
        self._confirm(
            "Start this stage again? It continues from its last checkpoint.", [stage], retry_stages, "started"
        )

    def _confirm(
        self,
        question: str,
        stages: Sequence[StageState],
        act: ActOnStages,
        said: str,
    ) -> None:
        keys = [stages[0].key]
        titles = [f"{stage.name} {label_text(stage.labels)}  {stage.key}" for stage in stages]

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._act(act, keys, said), group="act")

        self.app.push_screen(ConfirmScreen(question, titles), answered)

    async def _act(self, act: ActOnStages, keys: Sequence[str], said: str) -> None:
        workspace = self.context.workspace
        self.show_message(
            "cancelling; a stage has some seconds to end by itself" if act is cancel_stages else "starting"
        )
        done = await self.fetch(self.context.control.call(lambda _: act(workspace, keys)))
        if done is not None:
            self.show_message(
                f"{said}: {', '.join(done)}" if done else "nothing to do: the stage changed its state meanwhile"
            )

    def action_copy_path(self) -> None:
        """Copy the path of the stage's folder."""
        if self.stage_key:
            self.copy(str(self.context.workspace.folder(self.stage_key).path), "the folder's path")

    def action_copy_command(self) -> None:
        """Copy the command that shows this stage."""
        if self.stage_key:
            self.copy(f"cogtui show {self.stage_key} --workspace {self.context.workspace.path}", "the command")
