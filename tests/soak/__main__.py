"""`python -m tests.soak`: rounds of faults until the time is up; exit code 1 if anything was lost or false."""

import argparse
import contextlib
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.soak.fault_library import missing_tool
from tests.soak.faults import LONG_STOP, disturb, faults_of, heal
from tests.soak.processes import kill_all
from tests.soak.recipe import write_recipe
from tests.soak.round import RoundReport, SoakRound, run_undisturbed

_SETTLE_S: Final = 200.0
_LONG_ROUND_S: Final = 50.0
"""Seconds of a round from which on processes are also stopped for long."""


@contextlib.contextmanager
def _slurm(wanted: bool) -> Iterator[str | None]:
    """A cluster, or None where none is wanted or installed."""
    if not wanted:
        yield None
        return
    import pytest

    from tests.jobs.cluster import running_slurm

    cluster = running_slurm()
    try:
        conf = cluster.__enter__()
    except pytest.skip.Exception as reason:
        _say(f"without Slurm: {reason}")
        yield None
        return
    try:
        yield conf
    finally:
        cluster.__exit__(None, None, None)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def soak(
    seed: int,
    minutes: float,
    *,
    clusters: Sequence[str] = ("local", "slurm"),
    only: Sequence[str] = (),
    cells: int = 2,
    ppo: bool = False,
    round_s: float = 60.0,
    rounds: int | None = None,
    first: int = 0,
    keep: Path | None = None,
    app: bool = True,
) -> list[RoundReport]:
    """Run rounds until the time is up; print each fault's count and each finding.

    Args:
        seed: decides all faults and their times. Round N of it depends on nothing else.
        minutes: how long to go on; the last round is finished.
        clusters: where rounds run, in turn; `slurm` is left out where it is not installed.
        only: names of the faults to use; all by default.
        cells: seeds of the matrix.
        ppo: train a model by PPO in every cell.
        round_s: seconds of a round in which faults occur; then it must end well.
        rounds: at most so many.
        first: number of the first round, to repeat one.
        keep: folder for the files of rounds with findings.
        app: compare with the app too.
    """
    reports: list[RoundReport] = []
    deadline = time.monotonic() + minutes * 60
    with tempfile.TemporaryDirectory(prefix="cogtui-soak-") as name, _slurm("slurm" in clusters) as conf:
        place = Path(name)
        recipe = write_recipe(place / "soak.toml", seeds=cells, ppo=ppo)
        reference = run_undisturbed(place, write_recipe(place / "quick.toml", seeds=cells, step_s=0.0, ppo=ppo))
        number = first
        while time.monotonic() < deadline and (rounds is None or number < first + rounds):
            usable = [cluster for cluster in clusters if cluster == "local" or conf]
            cluster = usable[number % len(usable)]
            here = SoakRound(
                place / f"round-{number:03d}", recipe, f"{seed}/{number}", cluster, conf,
                settle_s=_SETTLE_S if not ppo else 5 * _SETTLE_S,
            )  # fmt: skip
            names = [each for each in faults_of(cluster) if not only or each in only]
            if round_s < _LONG_ROUND_S and not only:
                names.remove(LONG_STOP)
            began = time.monotonic()
            try:
                disturb(here, names, round_s, here.folder / "faults.log")
                heal(here)
                settled = here.settle()
                here.stop(settled=settled)
                if settled:
                    here.check(reference, app=app)
                here.report.findings += here.check_outputs()
                here.report.failed_calls = here.library.injected()
            finally:
                kill_all(here.mark)
            here.report.seconds = time.monotonic() - began
            reports.append(here.report)
            _tell(here.report)
            if here.report.findings and keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                here.folder.rename(keep / f"seed-{seed}-round-{number:03d}")
            else:
                here.delete()
            number += 1
    return reports


def _tell(report: RoundReport) -> None:
    kinds = Counter(line.split("s  ", 1)[1].split(":")[0] for line in report.faults)
    counts = ", ".join(f"{name} {count}" for name, count in sorted(kinds.items()))
    _say(
        f"seed {report.seed} {report.cluster}: {report.seconds:.0f} s, {report.runs} runs, {len(report.faults)} faults"
        f" ({counts}), {report.failed_calls} failed calls, {len(report.findings)} findings"
    )
    if report.findings:
        for line in report.faults:
            _say(f"    {line}")
        for finding in report.findings:
            _say(f"  FOUND {str(finding)[:1500]}")


def main(arguments: list[str] | None = None) -> int:
    """Parse the options and soak."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    parser.add_argument("--cluster", action="append", choices=["local", "slurm"], default=[])
    parser.add_argument("--only", action="append", default=[], help="name of a fault to use; repeat for several")
    parser.add_argument("--cells", type=int, default=2, help="seeds of the matrix")
    parser.add_argument("--ppo", action="store_true", help="also train by PPO in every cell")
    parser.add_argument("--round", type=float, default=60.0, help="seconds of a round in which faults occur")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--first", type=int, default=0, help="number of the first round, to repeat one")
    parser.add_argument("--keep", type=Path, default=None, help="folder for the files of rounds with findings")
    given = parser.parse_args(arguments)
    reason = missing_tool()
    if reason:
        _say(f"the soak test cannot run here: {reason}")
        return 3
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    _say(f"seed {seed}; repeat a round with --seed {seed} --first ROUND --rounds 1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended
    began = time.monotonic()
    reports = soak(
        seed,
        given.minutes,
        clusters=given.cluster or ("local", "slurm"),
        only=given.only,
        cells=given.cells,
        ppo=given.ppo,
        round_s=given.round,
        rounds=given.rounds,
        first=given.first,
        keep=given.keep,
    )
    findings = sum(len(report.findings) for report in reports)
    faults = sum(len(report.faults) for report in reports)
    calls = sum(report.failed_calls for report in reports)
    _say(
        f"seed {seed}: {len(reports)} rounds in {time.monotonic() - began:.0f} s, {faults} faults,"
        f" {calls} failed calls, {findings} findings"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
