"""Starts stages: the one way in for commands and screens, which checks what they need before anything is written."""

from collections.abc import Collection, Sequence

from jobs.planning.experiments import latest_experiments, record_experiment
from jobs.planning.materialize import materialise
from jobs.planning.types import RecipePlan, StageInstance
from jobs.state.types import Submission
from jobs.submit.actions import choices_of
from jobs.submit.launch import submit
from jobs.submit.preflight import require_preflight
from jobs.workspace import Workspace


def start_stages(
    workspace: Workspace,
    stages: Sequence[StageInstance],
    *,
    cluster: str = "local",
    retry: bool = False,
    force: Collection[str] = (),
    plan: RecipePlan | None = None,
) -> list[Submission]:
    """Check what stages need, write their folders, and submit them; arguments and errors also as for `submit`.

    Args:
        workspace: created if it does not exist.
        stages: each after its inputs.
        cluster: `local` or `slurm`.
        retry: also start failed, cancelled and blocked stages.
        force: keys or names of stages to run again although they are done.
        plan: the recipe they are from; its snapshot is written, unless the newest is equal and nothing is started.

    Raises:
        MissingRequirement: something that one of them needs is missing; nothing was written or started.
    """
    check_stages(workspace, stages, cluster=cluster, retry=retry, force=force, plan=plan)
    materialise(stages, workspace)
    if plan is not None and (force or not _is_repetition(plan, stages, workspace)):
        record_experiment(plan, workspace)
    return submit(workspace, stages, cluster=cluster, retry=retry, force=sorted(force))


def _is_repetition(plan: RecipePlan, stages: Sequence[StageInstance], workspace: Workspace) -> bool:
    """Return whether the newest snapshot has the same plan and all stages are done, so that nothing is started."""
    if any(workspace.folder(stage.key).result() is None for stage in stages):
        return False
    newest = latest_experiments(workspace).get(plan.name)
    planned = (plan.cells, plan.recipe_text, plan.overrides)
    return newest is not None and (newest.cells, newest.recipe, newest.overrides) == planned


def check_stages(
    workspace: Workspace,
    stages: Sequence[StageInstance],
    *,
    cluster: str,
    retry: bool,
    force: Collection[str] = (),
    plan: RecipePlan | None = None,
) -> None:
    """Check what those of the stages need that would start; arguments as for `start_stages`.

    Raises:
        MissingRequirement: something is missing; names all of it. InvalidInput: a forced stage is active.
    """
    choices = choices_of(stages, workspace, retry=retry, force=force, plan=plan)
    starting = [choice.instance for choice in choices if choice.action == "submitted"]
    require_preflight(starting, cluster, workspace)
