"""`cogtui doctor`: what works here, and what is limited by something missing."""

from collections.abc import Iterator

from cogtui.cli.console.output import ExitCode, emit, emit_json, emit_wrapped
from jobs.doctor.checks import Finding, examine, plugin_findings
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError

_MARKS = {"ok": "ok", "missing": "--", "problem": "!!"}


def print_findings(workspace: Workspace, *, as_json: bool) -> None:
    """Print all findings; exit with 3 if the workspace cannot be used."""
    import typer

    findings = list(all_findings(workspace))
    if as_json:
        emit_json([{name: getattr(finding, name) for name in Finding.__slots__} for finding in findings])
    else:
        width = max(len(finding.name) for finding in findings)
        area = ""
        for finding in findings:
            if finding.area != area:
                area = finding.area
                emit(area)
            below = " " * (width + 6)  # and the indentation of two
            emit_wrapped(f"  {_MARKS[finding.status]}  {finding.name.ljust(width)}  {finding.detail}", below)
            if finding.degrades:
                emit_wrapped(f"  {below}so: {finding.degrades}")
    if any(finding.status == "problem" and finding.area == "workspace" for finding in findings):
        raise typer.Exit(ExitCode.MISSING)


def all_findings(workspace: Workspace) -> Iterator[Finding]:
    for finding in examine(workspace):
        yield finding
        if finding.area == "workspace" and finding.name == "folder" and finding.status == "ok":
            yield from _disk(workspace)
    # The store is above the packages that `examine` may import, so the importers are examined here.
    from cogtui.store.importing.registry import IMPORTERS

    yield from plugin_findings((IMPORTERS,))


def _disk(workspace: Workspace) -> Iterator[Finding]:
    """Check file system and index of an existing workspace."""
    if not workspace.path.is_dir():
        return
    from cogtui.store.db.location import is_network, locate_index

    kind = file_system(workspace)
    where = f"{kind}, shared between machines" if is_network(kind) else f"{kind}, of this machine"
    slurm = "" if is_network(kind) else "Slurm jobs need a folder that all nodes share"
    yield Finding("disk", "file system", "ok", where, slurm)
    try:
        location = locate_index(workspace)
    except CogtuiError as error:
        yield Finding("disk", "index", "problem", error.summary, "rollouts cannot be browsed")
    else:
        yield Finding("disk", "index", "ok", f"{location.folder} ({location.reason})")


def file_system(workspace: Workspace) -> str:
    """Return the type of the workspace's file system, as the kernel names it; `?` if unknown."""
    import psutil  # type: ignore[import-untyped]  # brings no type information

    path = str(workspace.path.resolve())
    holding = [
        mount
        for mount in psutil.disk_partitions(all=True)
        if path == mount.mountpoint or path.startswith(mount.mountpoint.rstrip("/") + "/")
    ]
    return max(holding, key=lambda mount: len(mount.mountpoint)).fstype if holding else "?"
