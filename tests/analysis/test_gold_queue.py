"""`cogtui gold`: what is labelled, and which completions to label next."""

import json
from collections import Counter
from typing import Any

import pytest

from cogtui.analysis.gold_queue import GoldQueue, QueueCell
from cogtui.store.user_data.annotations import append_annotations, latest_annotations
from cogtui.store.user_data.final_labels import final_labels
from jobs.workspace import Workspace
from tests.analysis.gold_lab import annotate, annotation_of, completion
from tests.analysis.test_compare import call
from tests.analysis.test_gold_correction import (
    BARE,
    END,
    NOT_SEEN,
    PRIMED,
    START,
    end_of,
    label_ends,
    workspace,
)

__all__ = ["workspace"]


def queue(workspace: Workspace, capsys: pytest.CaptureFixture[str], *options: str, code: int = 0) -> Any:
    found, out, err = call(capsys, "gold", "next", "mini", "-w", str(workspace.path), "--json", *options)
    assert found == code, err
    return json.loads(out)["data"] if not code else json.loads(out)["error"]


def label(workspace: Workspace, listed: list[dict[str, Any]]) -> None:
    """A person labels what the queue lists."""
    for one in listed:
        key, step, place = one["rollout"].rsplit(".", 2)
        made = {"0": START, "10": end_of(one["seed"])}[step] if PRIMED in key else NOT_SEEN
        annotate(workspace, key, int(step), made, [int(place)])


def test_the_queue_takes_seeds_in_turn_and_new_problems_first(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    data = queue(workspace, capsys, "--claim", "behaviors_absent", "--about", "verification", "--limit", "9")
    assert data["claim"] == "behaviors_absent"
    assert [(cell["group"], cell["when"], cell["labels"]) for cell in data["cells"]] == [(BARE, "end", 0)]
    assert Counter(one["seed"] for one in data["next"]) == {1: 3, 2: 3, 3: 3}
    assert len({one["problem"] for one in data["next"]}) == 9
    assert [one["problem"] for one in data["next"]] != sorted(one["problem"] for one in data["next"])
    # The same again while nothing is labelled, then the ones after.
    again = queue(workspace, capsys, "--claim", "behaviors_absent", "--about", "verification", "--limit", "9")
    assert again["next"] == data["next"]
    label(workspace, data["next"])
    after = queue(workspace, capsys, "--claim", "behaviors_absent", "--about", "verification", "--limit", "9")
    assert not {one["rollout"] for one in after["next"]} & {one["rollout"] for one in data["next"]}
    assert after["cells"][0]["labels"] == 9


def test_labels_go_where_they_narrow_the_claim_most(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    data = queue(workspace, capsys, "--claim", "behaviors_stay", "--about", "verification", "--limit", "40")
    assert [(cell["when"], cell["weight"]) for cell in data["cells"]] == [("start", -0.5), ("end", 1.0)]
    placed = Counter(one["when"] for one in data["next"])
    # Half the weight at the start: half as many labels there (Neyman).
    assert placed["end"] == pytest.approx(2 * placed["start"], abs=3)


def test_the_forecast_comes_true(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    label_ends(workspace, range(4))
    place = ("--claim", "behaviors_absent", "--about", "verification")
    before = queue(workspace, capsys, *place, "--limit", "24", "--half-width", "0.1")
    label(workspace, before["next"])
    after = queue(workspace, capsys, *place)
    half = (after["comparison"]["high"] - after["comparison"]["low"]) / 2
    assert half == pytest.approx(before["half_after"], rel=0.25)
    assert before["needed"] > 0


def test_how_many_more_are_needed_and_when_no_number_is_enough() -> None:
    from cogtui.analysis.claims import Claim
    from cogtui.analysis.comparisons import decide_comparison
    from cogtui.analysis.intervals import MeanEstimate

    comparison = decide_comparison("x", MeanEstimate(0.4, 0.2, 5, freedom=4), measure="verification")
    ids = {seed: {f"{seed}-{place}": f"p{place}" for place in range(200)} for seed in range(5)}
    cell = QueueCell("none", "end", 1.0, 10, 1.0, False, (), ids)
    made = GoldQueue(Claim("c", "c", (comparison,)), comparison, (cell,), (), 0.2)
    needed = made.needed(0.4)
    assert needed is not None
    assert made.half_width([10 + needed]) <= 0.4 < (made.half_width([10 + needed - 1]) or 0)  # type: ignore[operator]
    assert made.needed(0.19) is None  # the seeds alone give 0.2
    assert (made.needed(0.2) or 0) > 10 * needed


def test_text_names_the_claim_and_what_it_takes(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(
        capsys, "gold", "next", "mini", "-w", str(workspace.path), "--claim", "behaviors_absent", "--limit", "30",
        "--half-width", "0.3", "--tag", "gold",
    )  # fmt: skip
    assert code == 0
    assert "behaviours stay absent" in out
    assert "none at the end 0 of 120" in out
    assert "the judge's error assumed" in out
    assert "± 0.3: about" in out
    assert "tag:gold" in err
    _, listed, _ = call(capsys, "rollouts", "tag:gold", "-w", str(workspace.path), "--json")
    assert len(json.loads(listed)["data"]["rollouts"] if "rollouts" in listed else json.loads(listed)["data"]) > 0


def test_what_cannot_be_asked(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    error = queue(workspace, capsys, "--claim", "primed_above_unprimed", code=2)
    assert "is not about counts of behaviours" in error["summary"]
    error = queue(workspace, capsys, "--claim", "nothing", code=4)
    assert "behaviors_stay" in error["remedy"]
    error = queue(workspace, capsys, "--claim", "behaviors_absent", "--about", "joy", code=4)
    assert "none: verification" in error["remedy"]


def test_labels_are_listed_with_who_decided(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    label_ends(workspace, range(1))
    annotate(workspace, f"ppo-{PRIMED}-1", 10, end_of(1), [0], annotator="bob@desk", missed=1)
    append_annotations(workspace, [annotation_of("gone", completion(1, 1, 0))])
    code, out, err = call(capsys, "gold", "-w", str(workspace.path))
    assert code == 0
    assert "annotators differ: ann@desk, bob@desk" in out
    assert "(not in the workspace)" in out
    assert "1 label of rollouts that are no longer in the workspace; kept" in err
    assert "7 completions labelled, 0 adjudicated, 1 on which annotators differ" in err
    _, out, _ = call(capsys, "gold", "-w", str(workspace.path), "--json")
    rows = json.loads(out)["data"]
    assert [row["counts"]["verification"] for row in rows if row["differ"]] == [3.5]
    assert len(final_labels(latest_annotations(workspace))) == len(rows) == 7
    assert END
