"""A short soak: one round on this machine and one on Slurm, each with a fixed seed. `make soak` runs an hour."""

import pytest

from tests.soak.__main__ import soak
from tests.soak.fault_library import missing_tool

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing_tool() is not None, reason=str(missing_tool())),
]


@pytest.mark.parametrize("cluster", ["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def test_a_round_of_faults_loses_nothing_and_shows_nothing_false(cluster: str) -> None:
    reports = soak(1, 1.0, clusters=[cluster], cells=1, round_s=12.0, rounds=1)
    if not reports:
        pytest.skip("Slurm is not installed")
    (report,) = reports
    assert report.findings == [], report.faults
    assert len(report.faults) >= 3
