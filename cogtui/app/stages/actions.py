"""Actions on the stage under the cursor, for every screen that shows stages."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.binding import Binding, BindingType

from cogtui.app.rendering.states import ENDED_BADLY
from cogtui.app.shell.dialogs import AskScreen, ConfirmScreen
from cogtui.app.shell.opening import OpenRolloutList
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.stages.control import (
    ActOnStages,
    cancel_stages,
    list_dependents,
    list_retried,
    retry_stages,
    stages_with_rollouts,
)
from cogtui.app.stages.facts import suggested_changes
from jobs.recipe.labels import label_text
from jobs.state.types import ACTIVE, CONTINUABLE, RETRYABLE, StageState
from jobs.workspace import Workspace
from pipelines.wording import count_of

_ON_STAGES: Final = frozenset({"cancel", "retry", "retry_changed", "retry_all"})
_MOST_NAMED: Final = 3


def _can_cancel(stage: StageState) -> bool:
    return stage.active or stage.state in ACTIVE


def _can_retry(stage: StageState, *, started: bool = False) -> bool:
    """Return whether a stage can be started again; with `started`, only if it was started before."""
    if _can_cancel(stage) or (started and not stage.attempts):
        return False
    return stage.state in RETRYABLE | CONTINUABLE


def _title(stage: StageState) -> str:
    return f"{stage.name or stage.kind} {label_text(stage.labels)}".rstrip()


def _wrong_changes(text: str) -> str:
    wrong = next((word for word in text.split() if not word.partition("=")[0] or not word.partition("=")[2]), None)
    return "" if wrong is None else f"{wrong} is not FIELD=VALUE, as recompute=true or resources.memory=80G"


class StageActions(AppScreen):
    """Opens the log and the rollouts of a stage, cancels it and starts it again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "open_log", "Log"),
        Binding("t", "open_traces", "Traces"),
        Binding("x", "cancel", "Cancel"),
        Binding("r", "retry", "Start again"),
        Binding("m", "retry_changed", "Start again with changes", show=False),
        Binding("F", "retry_all", "Start all failed"),
        Binding("y", "copy_path", "Copy the folder's path", show=False),
        Binding("Y", "copy_command", "Copy the command that shows it", show=False),
    ]

    _stage_keys: frozenset[str] = frozenset()
    """Actions of `_ON_STAGES` that have an effect now."""

    @property
    def stage_key(self) -> str | None:
        """Key of the stage that the actions apply to."""
        raise NotImplementedError

    @property
    def stage(self) -> StageState | None:
        """State of the stage in the latest snapshot."""
        return self.context.snapshot.states.get(self.stage_key or "")

    def stages_in_scope(self) -> tuple[list[str], str]:
        """Return the stages of this screen, and whose they are in words."""
        raise NotImplementedError

    def _to_retry(self) -> list[str]:
        states = self.context.snapshot.states
        return [key for key in self.stages_in_scope()[0] if key in states and _can_retry(states[key], started=True)]

    def shows_key(self, action: str) -> bool:
        return action not in _ON_STAGES or action in self._stage_keys

    def update_stage_keys(self) -> None:
        """Show in the key bar what can be done with the stage under the cursor, and with all of them."""
        stage = self.stage
        keys = {"cancel"} if stage is not None and _can_cancel(stage) else set()
        keys |= {"retry", "retry_changed"} if stage is not None and _can_retry(stage) else set()
        keys |= {"retry_all"} if self._to_retry() else set()
        if keys != self._stage_keys:
            self._stage_keys = frozenset(keys)
            self.refresh_bindings()

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
        if stage is None:
            self.show_message("there is no stage to cancel")
        elif not _can_cancel(stage):
            self.show_message(f"{_title(stage)} is {stage.state}: only running and waiting stages can be cancelled")
        else:
            self.run_worker(self._ask_cancel(stage), group="act")

    async def _ask_cancel(self, stage: StageState) -> None:
        workspace = self.context.workspace
        along = await self.fetch(self.context.control.call(lambda _: list_dependents(workspace, [stage.key])))
        if along is None:
            return
        others = self._states_of(along)
        question = "Cancel this stage and those that wait for it?" if others else "Cancel this stage?"
        self._confirm(question, [stage, *others], cancel_stages, [stage.key], "cancelled")

    def action_retry(self) -> None:
        """Start a failed or stopped stage again after confirmation."""
        stage = self.stage
        if stage is None:
            self.show_message("there is no stage to start again")
        elif not _can_retry(stage):
            why = "only stages that failed, were stopped or never started can be started again"
            self.show_message(f"{_title(stage)} is {stage.state}: {why}")
        else:
            self.run_worker(self._ask_retry([stage.key]), group="act")

    def action_retry_changed(self) -> None:
        """Ask for changes of settings that change no result, or of resources, and start the stage again with them."""
        stage = self.stage
        if stage is None or not _can_retry(stage):
            self.action_retry()  # which says why not
            return

        def entered(text: str | None) -> None:
            if text and text.split():
                self.run_worker(self._ask_retry([stage.key], text.split()), group="act")

        question = f"Start {_title(stage)} again with: FIELD=VALUE, or resources.FIELD=VALUE"
        self.app.push_screen(AskScreen(question, suggested_changes(stage.remedy), wrong=_wrong_changes), entered)

    def action_retry_all(self) -> None:
        """Start all failed and stopped stages of this screen again after confirmation."""
        keys = self._to_retry()
        if keys:
            self.run_worker(self._ask_retry(keys), group="act")
        else:
            self.show_message("no stage failed or was stopped, so there is nothing to start again")

    async def _ask_retry(self, keys: Sequence[str], changes: Sequence[str] = ()) -> None:
        """Ask with the list of all stages that will be started: these, and inputs of theirs that are not done."""
        workspace = self.context.workspace
        found = await self.fetch(self.context.control.call(lambda _: list_retried(workspace, keys)))
        if found is None:
            return
        stages = self._states_of(found)
        what = "this stage" if len(stages) == 1 else f"these {len(stages):,} stages"
        more = ", inputs first" if set(found) - set(keys) else ""
        if changes:
            more += f", with {' '.join(changes)}"
        question = f"Start {what} again{more}? Checkpoints are continued from."

        def start(workspace: Workspace, keys: Sequence[str]) -> list[str]:
            return retry_stages(workspace, keys, changes)

        self._confirm(question, stages, start, keys, "started")

    def _states_of(self, keys: Sequence[str]) -> list[StageState]:
        states = self.context.snapshot.states
        return [states[key] for key in keys if key in states]

    def _confirm(
        self, question: str, stages: Sequence[StageState], act: ActOnStages, keys: Sequence[str], said: str
    ) -> None:
        titles = [f"{_title(stage)}  {stage.key}  {stage.state}" for stage in stages]

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._act(act, keys, said), group="act")

        self.app.push_screen(ConfirmScreen(question, titles), answered)

    async def _act(self, act: ActOnStages, keys: Sequence[str], said: str) -> None:
        workspace = self.context.workspace
        if act is cancel_stages:
            self.show_message("cancelling; a stage has some seconds to end by itself")
        done = await self.fetch(self.context.control.call(lambda _: act(workspace, keys)))
        if done is None:
            return
        if not done:
            self.show_message(f"nothing was {said}: its state changed meanwhile")
        elif len(done) > _MOST_NAMED:
            self.show_message(f"{said} {count_of(len(done), 'stage')}")
        else:
            self.show_message(f"{said}: {', '.join(done)}")

    def action_copy_path(self) -> None:
        """Copy the path of the stage's folder."""
        if self.stage_key:
            self.copy(str(self.context.workspace.folder(self.stage_key).path), "the folder's path")

    def action_copy_command(self) -> None:
        """Copy the command that shows this stage."""
        if self.stage_key:
            self.copy(f"cogtui show {self.stage_key} --workspace {self.context.workspace.path}", "the command")
