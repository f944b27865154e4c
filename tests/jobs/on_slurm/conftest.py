"""Two clusters for all tests of this folder: one that warns before it preempts, one that does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.cluster import running_slurm
from tests.jobs.lab import Lab
from tests.jobs.on_slurm.labs import lab_on


@pytest.fixture(scope="package")
def plain() -> Iterator[str]:
    """A cluster without accounting, which warns of preemption."""
    with running_slurm() as conf:
        yield conf


@pytest.fixture(scope="package")
def silent() -> Iterator[str]:
    """A cluster that preempts by SIGTERM alone."""
    with running_slurm(SLURM_WARN="0") as conf:
        yield conf


@pytest.fixture
def lab(plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A workspace on the cluster."""
    yield from lab_on(plain, tmp_path, monkeypatch)


@pytest.fixture
def silent_lab(silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A workspace on the cluster that does not warn."""
    yield from lab_on(silent, tmp_path, monkeypatch)
