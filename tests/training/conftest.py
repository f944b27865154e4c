"""Without the train extra, only the tests of the configs are collected. Inputs of PPO stages, made once."""

import importlib.util
from pathlib import Path

import pytest

from pipelines.folder import StageFolder

collect_ignore_glob = [] if importlib.util.find_spec("trl") else ["test_[!c]*.py"]


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A finished problems stage and a finished base stage."""
    from tests.training.helpers import BASE, problems_folder, run_alone

    root = tmp_path_factory.mktemp("inputs")
    problems = problems_folder(root / "problems")
    return [problems, run_alone("base", BASE, root / "base", [problems]).path]


@pytest.fixture(scope="session")
def undisturbed(inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> StageFolder:
    """A PPO run that nothing disturbed."""
    from tests.training.helpers import PPO, run_alone

    return run_alone("ppo", PPO, tmp_path_factory.mktemp("undisturbed") / "ppo", inputs)
