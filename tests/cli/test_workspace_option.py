"""`--workspace` in front of a command and behind it: both name the workspace; the one behind takes precedence."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from cogtui.cli.main import app
from jobs.workspace import Workspace
from tests.commands import cogtui_here

GROUP = typer.main.get_command(app)
ARGUMENTS = {"open": ["rollouts.jsonl"]}


def subcommands(group: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for name, command in getattr(group, "commands", {}).items():
        found |= {(*path, name): command} | subcommands(command, (*path, name))
    return found


COMMANDS = subcommands(GROUP)


def uses_workspace(command: Any) -> bool:
    return any(parameter.name == "workspace" for parameter in command.params)


def required_arguments(command: Any, folder: Path) -> list[str]:
    required = [parameter for parameter in command.params if parameter.required]
    return [
        text
        for parameter in required
        for text in ([str(folder)] if parameter.param_type_name == "argument" else [parameter.opts[0], str(folder)])
    ]


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if uses_workspace(command)], ids=" ".join)
def test_every_command_gets_the_workspace_given_in_front_of_it(
    path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    located: list[Path | None] = []

    class LocatedError(Exception):
        pass

    def locate(workspace: Path | None = None) -> Workspace:
        located.append(workspace)
        raise LocatedError

    monkeypatch.setattr(Workspace, "locate", locate)
    words = [*path, *required_arguments(COMMANDS[path], tmp_path)]
    cases = [
        (["-w", "one", *words], "one"),
        ([*words, "-w", "two"], "two"),
        (["-w", "one", *words, "-w", "two"], "two"),
    ]
    if len(path) > 1:
        cases.append(([path[0], "-w", "three", *words[1:]], "three"))
    for arguments, wanted in cases:
        with pytest.raises(LocatedError):
            cogtui_here(*arguments, folder=tmp_path)
        assert located.pop() == Path(wanted)


@pytest.mark.parametrize("name", [" ".join(path) for path, command in COMMANDS.items() if not uses_workspace(command)])
def test_a_command_that_uses_no_workspace_says_so(name: str, tmp_path: Path) -> None:
    done = cogtui_here("-w", "one", name, *ARGUMENTS.get(name, []), folder=tmp_path)
    assert done.returncode == 2
    assert f"the command {name} takes no --workspace" in done.stderr


def test_reindex_reads_the_workspace_given_in_front_of_it(tmp_path: Path) -> None:
    (tmp_path / "one" / "stages").mkdir(parents=True)
    done = cogtui_here("-w", "one", "reindex", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["rollouts"] == 0
    assert not (tmp_path / "cogtui-workspace").exists()
