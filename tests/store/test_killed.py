"""Killed with -9 at random moments of its ingest, the index misses nothing and has nothing twice."""

import multiprocessing
import os
import random
import signal
import time

import pytest

from cogtui.store import Query, Store, open_store
from cogtui.store.filter.parser import parse
from cogtui.store.ingest.follower import follow
from cogtui.store.ingest.rebuild import rebuild
from cogtui.store.values.types import Sort
from tests.store.lab import Lab, judge, make_rollouts, write_judgements, write_rollouts
from tests.store.test_ingest import answers

KILLS = 20


@pytest.mark.slow
def test_killed_twenty_times(lab: Lab) -> None:
    place = random.Random(20)
    folder, judged = lab.stage("ppo", 1, {"condition": "a", "seed": 7}), lab.judge_stage(2)
    steps = iter(range(10_000))
    survived, usual = 0, 60.0
    for number in range(KILLS + 1):
        rollouts = make_rollouts(folder.key, [next(steps) for _ in range(10)], problems=12, samples=4)
        write_rollouts(folder, rollouts)
        write_judgements(judged, [one for rollout in rollouts for one in judge(rollout)])
        # The first is let to finish: how long that takes here and now is what the others are killed within.
        done, took = _ingest(lab, usual * place.uniform(0.3, 1.0) if number else usual)
        survived, usual = (survived + done, usual) if number else (0, took)
    assert survived < KILLS, "no kill ever hit the ingest"
    with open_store(lab.workspace) as store:
        coverage = store.ingest()
        assert coverage.complete
        assert coverage.rollouts == coverage.judgements == (KILLS + 1) * 480
        assert coverage.bad_lines == coverage.orphans == 0
        assert store.count(Query()) == len(_ids(store)) == len(set(_ids(store)))
        # Every text has "begin" once, at the same place: a rollout whose words came twice would match the phrase.
        assert store.count(Query(parse("text:begin"))) == coverage.rollouts
        assert store.count(Query(parse('text:"begin let"'))) == 0
        killed = answers(store)
    rebuild(lab.workspace)
    with open_store(lab.workspace) as store:
        assert answers(store) == killed


def _ingest(lab: Lab, kill_after_s: float) -> tuple[bool, float]:
    """Starts an ingester and kills it after some time, or once it is done; whether it was done, and the time it had."""
    with open_store(lab.workspace):
        pass  # makes the index, so that the reader below finds one
    on_disk = sum(path.stat().st_size for path in lab.workspace.stages.glob("*/*-*.jsonl"))
    started = time.monotonic()
    reading, writing = os.pipe()  # a follower ends when its standard input does; this one never does
    # Forked, because importing everything anew twenty times takes longer than all that is killed here.
    child = multiprocessing.get_context("fork").Process(target=follow, args=(lab.workspace, reading))
    child.start()
    with open_store(lab.workspace, readonly=True) as store:
        while time.monotonic() - started < kill_after_s and store.coverage().bytes_read < on_disk:
            time.sleep(0.002)
        child.kill()
        child.join()
        os.close(reading)
        os.close(writing)
        assert child.exitcode == -signal.SIGKILL
        return store.coverage().bytes_read >= on_disk, time.monotonic() - started


def _ids(store: Store) -> list[str]:
    ids: list[str] = []
    page = store.page(Query(sort=Sort("reward")), limit=1000)
    ids += [row.id for row in page.rows]
    while page.after is not None:
        page = store.page(Query(sort=Sort("reward")), page.after, limit=1000)
        ids += [row.id for row in page.rows]
    return ids
