"""The action that a run would take for each stage, and why: for `--dry-run` and for the app's launch screen."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from jobs.planning.types import RecipePlan, StageInstance
from jobs.state.reader import stage_states
from jobs.state.types import RETRYABLE, StageState
from jobs.submit.choice import choose
from jobs.workspace import Workspace

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
    keys = dict.fromkeys(key for stage in stages for key in (*stage.inputs, stage.key))
    known = stage_states(workspace, keys)
    states = {key: known.get(key) or _planned(plan.instance(key)) for key in keys}
    actions = {}
    for choice in choose(stages, states, retry=retry, force=force):
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
