"""`cogtui cancel KEY...`: cancels stages and their dependents, after asking."""

import sys
from collections.abc import Sequence

import typer

from cogtui.cli.console.output import emit, emit_json, narrate
from jobs.state.reader import stage_states
from jobs.submit.cancel import cancel, dependents
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, StageFailed
from pipelines.wording import count_of


def cancel_stages(workspace: Workspace, prefixes: Sequence[str], *, yes: bool, grace_s: float, as_json: bool) -> None:
    """Cancel stages and print the outcome of each.

    Raises:
        NotFound: no such stage. InvalidInput: a prefix is ambiguous, or there is no terminal to ask on.
        StageFailed: something could not be ended.
    """
    keys = list(dict.fromkeys(workspace.find(prefix).path.name for prefix in prefixes))
    states = stage_states(workspace, keys)
    behind = dependents(workspace, keys)
    active = [key for key in keys if states[key].active]
    if active and not yes:
        _ask(active, behind)
    done = cancel(workspace, keys, grace_s=grace_s)
    if as_json:
        emit_json(
            [
                {"key": item.key, "was": item.was.state, "state": item.state.state, "because": item.because or None}
                for item in done
            ]
        )
    else:
        for item in done:
            because = f"  (needs {item.because})" if item.because else ""
            change = f"{item.was.state} -> {item.state.state}{because}"
            emit(f"{item.key}  {change if item.was.active else f'is {item.was.state}: nothing to cancel'}")
    left = [item.key for item in done if item.state.active]
    if left:
        raise StageFailed(
            f"{len(left)} of {len(done)} have not ended yet: {', '.join(left)}",
            remedy="The cancel requests are saved; check with cogtui ls.",
        )


def _ask(keys: Sequence[str], behind: Sequence[str] | dict[str, str]) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"this would cancel {count_of(len(keys) + len(behind), 'stage')}, and there is no terminal to confirm on",
            remedy="Give --yes.",
        )
    for key in keys:
        narrate(f"cancel {key}")
    for key in behind:
        narrate(f"cancel {key}, which waits for it")
    typer.confirm("Go on?", abort=True, err=True)
