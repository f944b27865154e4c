"""Options that take a fraction: no number that is infinite or none gets past them."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_workspace_option import COMMANDS, required_arguments
from tests.commands import cogtui_here

FRACTIONS = [
    (path, option.opts[0])
    for path, command in COMMANDS.items()
    for option in command.params
    if option.type.name in ("float", "float range")
]


def test_the_fractions_are_found() -> None:
    assert {option for _, option in FRACTIONS} >= {"--gpu-memory", "--grace", "--cap", "--half-width"}


@pytest.mark.parametrize("number", ["nan", "inf"])
@pytest.mark.parametrize(("path", "option"), FRACTIONS)
def test_a_fraction_is_a_finite_number(path: tuple[str, ...], option: str, number: str, tmp_path: Path) -> None:
    command: Any = COMMANDS[path]
    ended = cogtui_here(*path, *required_arguments(command, tmp_path), option, number, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert option in ended.stderr
    assert "Traceback" not in ended.stderr
