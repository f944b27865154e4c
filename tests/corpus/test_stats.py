"""Counts that can be added up, and intervals that are right."""

import random

import pytest

from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.corpus.classify.stats import ClassificationStats, mean_with_interval, share_with_interval


def documents(count: int) -> list[tuple[dict[str, int | None], dict[str, str], dict[str, object]]]:
    rng = random.Random(3)
    found = []
    for _ in range(count):
        failed = rng.random() < 0.2
        counts: dict[str, int | None] = {name: rng.randrange(4) for name in BEHAVIORS}
        if failed:
            counts["subgoal"] = None
        statuses = {str(name): "ok" if counts[name] is not None else "refused" for name in BEHAVIORS}
        meta = {"facts": rng.choice(["ok", "parse_error"]), "problem": rng.random() < 0.5, "domain": "algebra"}
        found.append((counts, statuses, meta))
    return found


def test_parts_add_up_to_the_whole() -> None:
    whole, parts = ClassificationStats(), [ClassificationStats() for _ in range(3)]
    for index, each in enumerate(documents(100)):
        whole.add(*each)
        parts[index % 3].add(*each)
    total = ClassificationStats()
    for part in parts:
        total.merge(part)
    assert total == whole


def test_what_failed_is_in_no_mean() -> None:
    tally = ClassificationStats()
    given = documents(200)
    for each in given:
        tally.add(*each)
    found = tally.result()
    counts = [each[0]["subgoal"] for each in given]
    known = [count for count in counts if count is not None]
    assert 0 < len(known) < 200
    assert found["behaviors"]["subgoal"]["n"] == len(known)
    assert found["behaviors"]["subgoal"]["mean"] == pytest.approx(sum(known) / len(known))
    assert found["statuses"] == {"ok": 800 - (200 - len(known)), "refused": 200 - len(known)}
    both = [c for c, _, _ in given if c["subgoal"] is not None]
    pair = found["cooccurrence"]["verification+subgoal"]
    assert pair["n"] == len(both)
    assert pair["present"] == sum(bool(c["subgoal"]) and bool(c["verification"]) for c in both)
    assert found["problem"]["n"] == sum(meta["facts"] == "ok" for _, _, meta in given)


def test_nothing_gives_no_number() -> None:
    assert share_with_interval(0, 0)["share"] is None
    assert mean_with_interval(0, 0, 0) == {"mean": None, "mean_low": None, "mean_high": None}
    assert mean_with_interval(3, 9, 1) == {"mean": 3.0, "mean_low": None, "mean_high": None}
    assert ClassificationStats().result()["behaviors"]["subgoal"]["share"] is None


def test_intervals() -> None:
    wilson = share_with_interval(10, 100)  # by the formula, worked out apart: 0.0552 to 0.1744
    assert (wilson["share_low"], wilson["share_high"]) == (
        pytest.approx(0.0552, abs=1e-4),
        pytest.approx(0.1744, abs=1e-4),
    )
    assert share_with_interval(0, 50)["share_low"] == 0
    values = [1, 2, 3, 4, 5]
    found = mean_with_interval(sum(values), sum(v * v for v in values), 5)
    assert found["mean_high"] - found["mean"] == pytest.approx(1.959964 * (2.5**0.5) / 5**0.5)
