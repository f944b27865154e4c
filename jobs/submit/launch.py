"""Starts stages: finished ones are reused, active ones left alone, the others claimed and submitted."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, get_args

from jobs.attempts.agent_link import ensure_agent
from jobs.attempts.environment_keeper import keep_environment
from jobs.attempts.records import Cluster, discard_claim
from jobs.attempts.tickets import LocalQueue, Ticket
from jobs.local.slots import Machine
from jobs.planning.types import StageInstance
from jobs.state.reader import StateReader
from jobs.state.types import Submission
from jobs.submit.choice import StageChoice, choose
from jobs.submit.claims import claim_attempts, claimed_by_other, new_job_record, submission
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, MissingRequirement, NotFound

__all__ = ["Submission", "preview", "submit"]

CLUSTERS: Final[tuple[str, ...]] = get_args(Cluster)


def submit(
    workspace: Workspace,
    instances: Sequence[StageInstance],
    *,
    cluster: str = "local",
    retry: bool = False,
    force: Collection[str] = (),
) -> list[Submission]:
    """Start stages and return at once, with one entry for each stage in the same order.

    A finished stage is reused; an active one is left alone, whichever process started it; one that was stopped
    from outside (preempted, time limit, lost, killed) is continued. A failed, cancelled or blocked stage is started
    again only with `retry`.

    Args:
        workspace: contains the `stage.json` of every instance (`jobs.planning.plan.materialise`).
        instances: the stages, each after its inputs.
        cluster: `local` or `slurm`.
        retry: also start failed, cancelled and blocked stages.
        force: keys or names of stages to run again although they are done; their old files are moved aside.

    Raises:
        InvalidInput: no such cluster; a forced stage is active; an input runs on the other cluster.
        MissingRequirement: Slurm is not installed here or refuses; the machine lacks GPUs; the disk is full.
        NotFound: a stage has no folder.
    """
    _check_cluster(cluster)
    workspace.create()
    keys = dict.fromkeys(key for instance in instances for key in (*instance.inputs, instance.key))
    states = StateReader(workspace).read(keys, ask_slurm=True)
    for instance in instances:
        if instance.key not in states:
            raise NotFound(f"stage {instance.key} has no folder in {workspace.stages}")
    choices = choose(instances, states, retry=retry, force=force)
    if cluster == "slurm":
        from jobs.submit.slurm import submit_slurm

        return submit_slurm(workspace, choices, states)
    return _submit_local(workspace, choices)


def preview(instances: Sequence[StageInstance], cluster: str, workspace: Workspace | None = None) -> list[str]:
    """Return what would be submitted for each instance: the exact sbatch script, or the local command line.

    A script contains `<KEY>` for the id of a job that is not submitted yet.
    """
    _check_cluster(cluster)
    place = workspace or Workspace.locate()
    if cluster == "slurm":
        from jobs.submit.slurm import preview_slurm

        return [preview_slurm(place, instance) for instance in instances]
    from jobs.worker.command import preview_command

    return [
        preview_command(new_job_record(place, instance, 1, "local"), place.stages / instance.key)
        for instance in instances
    ]


def _submit_local(workspace: Workspace, choices: Sequence[StageChoice]) -> list[Submission]:
    starting = [choice for choice in choices if choice.action == "submitted"]
    _check_machine(starting)
    found: list[Submission] = []
    tickets: list[Ticket] = []
    paths: list[str] = []
    claims = claim_attempts(workspace, starting, "local")
    try:
        for choice in choices:
            if choice.action != "submitted":
                found.append(submission(choice))
                continue
            claimed = next(claims)
            if claimed is None:
                found.append(claimed_by_other(choice))
                continue
            job, path = claimed
            resources = choice.instance.resources
            tickets.append(
                Ticket(key=job.key, number=job.number, cpus=resources.cpus, gpus=resources.gpus, inputs=job.inputs)
            )
            paths.append(str(path))
            found.append(submission(choice, attempt=job.number, cluster="local", job_id=None))
    finally:
        _queue(workspace, tickets, paths)  # also after an error: claimed attempts must get a ticket
    return found


def _queue(workspace: Workspace, tickets: list[Ticket], paths: list[str]) -> None:
    if not tickets:
        ensure_agent(workspace)
        return
    queue = LocalQueue(workspace)
    try:
        with keep_environment(queue.folder) as keeper:
            tickets = [ticket.model_copy(update={"environment": keeper.process}) for ticket in tickets]
            try:
                names = queue.add(tickets)
            except OSError:
                keeper.watch([one.file for one in queue.tickets() if one.ticket.environment == keeper.process])
                raise
            keeper.watch(names)
    except OSError as error:
        queued = {(found.ticket.key, found.ticket.number) for found in queue.tickets()}
        for ticket, path in zip(tickets, paths, strict=True):
            if (ticket.key, ticket.number) not in queued:
                discard_claim(Path(path))  # nobody would ever start it
        raise MissingRequirement(
            f"cannot queue stages in {workspace.path}: {error.strerror}",
            detail="Those that are not in its queue were not started.",
            remedy="Free some space, or end some processes, then run the same command again.",
        ) from error
    ensure_agent(workspace)


def _check_cluster(cluster: str) -> None:
    if cluster not in CLUSTERS:
        raise InvalidInput(f"there is no cluster {cluster!r}", remedy=f"Clusters: {', '.join(CLUSTERS)}.")


def _check_machine(starting: Sequence[StageChoice]) -> None:
    """Refuse stages that this machine can never run."""
    for choice in starting:
        nodes = choice.instance.resources.nodes
        if nodes > 1:
            raise MissingRequirement(
                f"{choice.instance.name} asks for {nodes} nodes, the local queue has this one",
                remedy="Use --cluster slurm, or change [resources] of the recipe.",
            )
    wanted = max((choice.instance.resources.gpus for choice in starting), default=0)
    have = len(Machine.here().gpus) if wanted else 0
    if wanted > have:
        names = sorted({choice.instance.name for choice in starting if choice.instance.resources.gpus > have})
        raise MissingRequirement(
            f"{', '.join(names)} asks for {wanted} GPU{'s' if wanted > 1 else ''}, this machine has {have}",
            remedy="Use --cluster slurm, or change [resources] of the recipe.",
        )
