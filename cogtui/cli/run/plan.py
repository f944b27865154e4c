"""`cogtui plan`: what `cogtui run --dry-run` prints, or the memory that each training and sampling stage needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cogtui.cli.console.options import JsonOption, WorkspaceOption, finite
from cogtui.cli.console.output import emit, emit_json, emit_table, emit_wrapped
from cogtui.cli.run.commands import ClusterChoice
from pipelines.wording import bytes_text

if TYPE_CHECKING:
    from jobs.planning.memory import StageMemory
    from pipelines.training.memory.estimate import MemoryPart


def register(app: typer.Typer) -> None:
    """Add the command `plan`."""
    app.command("plan", help="Print the plan of a recipe (run --dry-run), or the memory its stages need.")(plan)


def plan(
    recipe: Annotated[
        Path, typer.Argument(help="A TOML file, or the name of a bundled recipe (cogtui recipes).", metavar="RECIPE")
    ],
    *,
    memory: Annotated[
        bool,
        typer.Option(
            "--memory", help="Estimate the memory of training and sampling stages from their configs, without weights."
        ),
    ] = False,
    gpu_memory: Annotated[
        float | None,
        typer.Option(
            "--gpu-memory",
            callback=finite,
            min=0.1,
            metavar="GB",
            help="Memory of one GPU (default: gpu_memory in [resources]).",
        ),
    ] = None,
    cluster: Annotated[ClusterChoice, typer.Option(help="Where the stages would run.")] = ClusterChoice.LOCAL,
    only: Annotated[
        list[str] | None, typer.Option(metavar="STAGE", help="Only this stage and its inputs; may be repeated.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change the recipe: stages.ppo.steps=50; may be repeated."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `plan`."""
    from cogtui.cli.run.flow import chosen_stages, run_recipe
    from cogtui.cli.run.request import RunRequest
    from pipelines.errors import InvalidInput

    if gpu_memory is not None and not memory:
        raise InvalidInput("--gpu-memory is for the estimate", remedy="Add --memory.")
    if not memory:
        run_recipe(
            RunRequest(
                recipe=recipe,
                workspace=workspace,
                cluster="slurm" if cluster is ClusterChoice.SLURM else "local",
                dry_run=True,
                only=tuple(only or ()),
                overrides=tuple(settings or ()),
                as_json=as_json,
            )
        )
        return
    from jobs.planning.memory import estimate_plan
    from jobs.planning.plan import make_plan
    from jobs.recipe.bundled import find_recipe
    from jobs.recipe.load import load_recipe
    from jobs.workspace import Workspace

    place = Workspace.locate(workspace)
    planned = make_plan(load_recipe(find_recipe(recipe), tuple(settings or ())), place)
    size = None if gpu_memory is None else int(gpu_memory * 1e9)
    found = estimate_plan(planned, chosen_stages(planned, tuple(only or ())), place, gpu_bytes=size)
    if as_json:
        emit_json({"experiment": planned.name, "stages": [_data(one) for one in found]})
        return
    if not found:
        emit(f"{planned.name}: no stage trains or samples a model")
    for index, one in enumerate(found):
        if index:
            emit()
        _show(one)


def _show(memory: "StageMemory") -> None:
    """Print the table of a stage, and what to change if it does not fit."""
    estimate = memory.estimate
    stages = f" ({len(memory.keys)} stages)" if len(memory.keys) > 1 else ""
    if estimate is None:
        emit_wrapped(f"{memory.name}{stages}: no estimate: {memory.reason}")
        return
    layout = estimate.layout
    processes = f"{layout.processes} processes, " if layout.processes > 1 else ""
    device = "each with a GPU" if layout.processes > 1 else "a GPU"
    emit_wrapped(f"{memory.name}{stages}: {processes}{device if layout.device == 'cuda' else 'CPU'}; {memory.model}")
    phases = [
        name for name, total in (("update", estimate.update), ("generation", estimate.generation)) if total is not None
    ]
    rows: list[Sequence[str]] = [("", *phases, "")]
    for part in estimate.parts:
        rows.append((part.name, *(_size(_of(part, phase)) for phase in phases), part.note))
    totals = {"update": estimate.update, "generation": estimate.generation}
    rows.append(("sum", *(_size(totals[phase]) for phase in phases), ""))
    emit_table(rows, right=range(1, 1 + len(phases)), indent="  ")
    if layout.device == "cuda" and estimate.host:
        other = f", {_size(estimate.host[1])} in each other" if layout.processes > 1 and len(estimate.host) > 1 else ""
        emit_wrapped(f"  host memory: {_size(estimate.host[0])} of tensors in the first process{other}", "    ")
    for note in estimate.notes:
        emit_wrapped(f"  note: {note}", "    ")
    emit_wrapped(f"  {_verdict(memory)}", "    ")
    for line in memory.advice:
        emit_wrapped(f"    {line}", "      ")


def _verdict(memory: "StageMemory") -> str:
    assert memory.estimate is not None
    peak, gpu = _size(memory.estimate.peak), memory.estimate.layout.device == "cuda"
    if memory.limit is None:
        given = "give the GPU's size with --gpu-memory GB" if gpu else "no `memory` in its resources"
        return f"needs {peak} {'on each GPU' if gpu else 'in each process'}; {given}"
    whole = f"of {_size(memory.limit)}{' of the GPU' if gpu else ' in its resources'}"
    if memory.fits:
        return f"fits: {peak} {whole}"
    if memory.estimate.shortfall:
        return f"does not fit: vLLM's share lacks {_size(memory.estimate.shortfall)}. Change with --set one of:"
    return f"does not fit: {peak} {whole}. Change with --set one of:"


def _of(part: "MemoryPart", phase: str) -> int | None:
    return part.update if phase == "update" else part.generation


def _size(value: int | None) -> str:
    return "-" if value is None else bytes_text(value)


def _data(memory: "StageMemory") -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": memory.name,
        "keys": list(memory.keys),
        "model": memory.model,
        "reason": memory.reason or None,
        "limit_bytes": memory.limit,
        "fits": memory.fits,
        "advice": list(memory.advice),
    }
    estimate = memory.estimate
    if estimate is None:
        return found | {"device": None, "processes": None, "parts": [], "peak_bytes": None}
    return found | {
        "device": estimate.layout.device,
        "processes": estimate.layout.processes,
        "parts": [part._asdict() for part in estimate.parts],
        "update_bytes": estimate.update,
        "generation_bytes": estimate.generation,
        "peak_bytes": estimate.peak,
        "host_bytes": list(estimate.host),
        "notes": list(estimate.notes),
    }
