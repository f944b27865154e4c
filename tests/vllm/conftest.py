"""Without vLLM nothing here is collected. Inputs of stages, made once; only one engine runs at a time."""

import importlib.util
from pathlib import Path

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("vllm") else ["test_*.py"]


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A finished problems stage and a finished base stage."""
    from tests.vllm.lab import make_inputs

    return make_inputs(tmp_path_factory.mktemp("inputs"))
