"""The action that a run would take for each stage, and why: for `--dry-run` and for the app's launch screen."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from jobs.planning.types import RecipePlan, StageInstance
from jobs.state.reader import stage_states
from jobs.state.types import RETRYABLE, StageState
from jobs.submit.choice import StageChoice, choose
from jobs.workspace import Workspace
from pipelines.errors import NotFound

STARTING = frozenset({"new", "continued", "retried", "forced"})
"""Verbs of stages that would be submitted."""


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """The action for a stage, and the reason."""

    verb: str
    """`reused`, `new`, `continued`, `retried`, `forced`, `claimed` (under way already) or `left` (needs --retry)."""
    reason: str

    @property
    def starts(self) -> bool:
        """Whether it would be submitted."""
        return self.verb in STARTING


def actions_of(
    plan: RecipePlan, stages: Sequence[StageInstance], workspace: Workspace, *, retry: bool, force: Collection[str]
) -> dict[str, PlannedAction]:
    """Return the action for each stage, by the rules of `submit`.

    Raises:
        InvalidInput: a forced stage is active.
    """
    actions = {}
    for choice in choices_of(stages, workspace, retry=retry, force=force, plan=plan):
        stage = choice.instance
        why = plan.reuse[stage.key].reason(stage.kind)
        if choice.action != "submitted":
            actions[stage.key] = PlannedAction(choice.action, choice.reason or why)
        elif stage.key in force:
            actions[stage.key] = PlannedAction("forced", "requested with --force; its old files are moved aside")
        elif choice.state.state in RETRYABLE:
            actions[stage.key] = PlannedAction("retried", choice.reason or f"it is {choice.state.state}")
        elif plan.reuse[stage.key].status == "started":
            actions[stage.key] = PlannedAction("continued", choice.reason or f"it is {choice.state.state}")
        else:
            actions[stage.key] = PlannedAction("new", why)
    return actions


def choices_of(
    stages: Sequence[StageInstance],
    workspace: Workspace,
    *,
    retry: bool,
    force: Collection[str],
    plan: RecipePlan | None = None,
) -> list[StageChoice]:
    """Return the choice that `submit` would make for each stage, whether or not its folder exists yet.

    Args:
        stages: each after its inputs.
        workspace: they would run in.
        retry: as for `submit`.
        force: as for `submit`.
        plan: has the inputs that are neither among the stages nor in the workspace.

    Raises:
        InvalidInput: a forced stage is active. NotFound: an input is unknown.
    """
    keys = dict.fromkeys(key for stage in stages for key in (*stage.inputs, stage.key))
    known = stage_states(workspace, keys)
    given = {stage.key: stage for stage in stages}
    states = {}
    for key in keys:
        instance = given.get(key) or (plan.instance(key) if plan is not None else None)
        if key not in known and instance is None:
            raise NotFound(f"stage {key} has no folder in {workspace.stages}")
        states[key] = known[key] if instance is None else known.get(key) or _planned(instance)
    return choose(stages, states, retry=retry, force=force)


def _planned(stage: StageInstance) -> StageState:
    """Return the state of a stage without a folder."""
    return StageState(
        key=stage.key,
        kind=stage.kind,
        name=stage.name,
        labels=stage.labels,
        state="planned",
        evidence="none",
        age_s=None,
    )
