"""`cogtui compare` with completions that people labelled."""

import json
from pathlib import Path
from typing import Any

import pytest

from cogtui.store.user_data.annotations import ADJUDICATED, append_annotations, latest_annotations, new_annotation
from cogtui.store.user_data.final_labels import final_labels
from jobs.planning.cell import Cell
from jobs.workspace import Workspace
from tests.analysis.gold_lab import annotate, annotation_of, completion, rollout_of, write_texts
from tests.analysis.lab import experiment
from tests.analysis.test_compare import call

PRIMED, BARE = "all_strategies", "none"
START, END = [(1, 1)] * 40, [(2, 1), (1, 1), (3, 1), (2, 1)] * 10
FEW, NOT_SEEN = [(0, 0)] * 40, [(0, 1)] * 40


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Three seeds of two conditions. The primed one has one verdict a completion that the rules do not see; so has the
    unprimed one at its end, of which they see none."""
    found = Workspace(tmp_path / "ws")
    found.create()
    cells: list[Cell] = []
    for seed in (1, 2, 3):
        cells.append(write_texts(found, {"condition": BARE, "seed": seed}, {0: FEW, 10: NOT_SEEN}))
        # Seeds differ a little, so that there is an interval over seeds.
        end = [(a + (place < seed), b) for place, (a, b) in enumerate(END)]
        cells.append(write_texts(found, {"condition": PRIMED, "seed": seed}, {0: START, 10: end}))
    experiment(found, "mini", cells)
    return found


def end_of(seed: int) -> list[tuple[int, int]]:
    return [(a + (place < seed), b) for place, (a, b) in enumerate(END)]


def label_ends(workspace: Workspace, places: range = range(8)) -> None:
    for seed in (1, 2, 3):
        annotate(workspace, f"ppo-{PRIMED}-{seed}", 10, end_of(seed), places)
        annotate(workspace, f"ppo-{BARE}-{seed}", 10, NOT_SEEN, places)


def compared(workspace: Workspace, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    code, out, _ = call(capsys, "compare", "mini", "-w", str(workspace.path), "--json", *options)
    assert code == 0
    found: dict[str, Any] = json.loads(out)["data"][0]
    return found


def group(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in data["groups"] if one["name"] == name)


def verdict(data: dict[str, Any], claim: str, comparison: str) -> dict[str, Any]:
    found = next(one for one in data["claims"] if one["name"] == claim)
    return next(one for one in found["comparisons"] if one["name"] == comparison)


def test_counts_are_corrected_where_completions_are_labelled(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    label_ends(workspace)
    data = compared(workspace, capsys)
    found = group(data, PRIMED)["corrected"]["verification"]["end"]
    raw = group(data, PRIMED)["measures"]["verification"]["end"]
    # The people see one verdict more in each completion than the judge.
    assert found["raw"] == pytest.approx(raw["mean"])
    assert found["mean"] == pytest.approx(raw["mean"] + 1.0, abs=0.02)
    assert found["high"] - found["low"] > raw["high"] - raw["low"]
    assert (found["gold"], found["gold_problems"], found["gold_seeds"]) == (24, 8, 3)
    bare = group(data, BARE)["corrected"]
    assert bare["verification"]["end"]["mean"] == pytest.approx(1.0)
    assert bare["presence of verification"]["end"]["mean"] == pytest.approx(1.0)
    assert bare["presence of verification"]["end"]["raw"] == 0.0
    assert "start" not in bare["verification"]
    assert any("not corrected" in note and f"{BARE} at the start (0)" in note for note in data["judge_error"]["notes"])


def test_a_claim_that_rests_on_a_blind_judge_falls(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(compared(workspace, capsys), "behaviors_absent", "none: verification")["verdict"] == "holds"
    label_ends(workspace)
    corrected = verdict(compared(workspace, capsys), "behaviors_absent", "none: verification")
    assert corrected["verdict"] == "does not hold"
    assert corrected["corrected"]
    raw = compared(workspace, capsys, "--judge-error", "off")
    assert verdict(raw, "behaviors_absent", "none: verification")["verdict"] == "holds"
    assert group(raw, BARE)["corrected"] is None
    assert raw["judge_error"] is None


def test_tables_and_reports_show_the_correction(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    label_ends(workspace)
    _, out, _ = call(capsys, "compare", "mini", "-w", str(workspace.path))
    assert "corrected by people's labels; ± contains seeds and judge error" in " ".join(out.split())
    assert "judge error ±" in out
    assert "0 → 24" in out
    call(capsys, "report", "mini", "-w", str(workspace.path), "--out", str(tmp_path / "out"))
    assert "share of completions with a behaviour, corrected" in (tmp_path / "out" / "report.html").read_text()
    assert "not corrected, fewer than 5" in (tmp_path / "out" / "report.md").read_text()


def test_no_label_and_fewer_than_five_are_said_and_correct_nothing(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(workspace, capsys)["judge_error"]["notes"] == [
        "nobody labelled a completion yet: the judge's error is in no interval (cogtui gold next)"
    ]
    annotate(workspace, f"ppo-{PRIMED}-1", 10, end_of(1), range(4))
    data = compared(workspace, capsys)
    assert group(data, PRIMED)["corrected"] == {}
    assert any(f"{PRIMED} at the end (4)" in note for note in data["judge_error"]["notes"])


def test_labels_of_one_condition_only_correct_that_one(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (1, 2, 3):
        annotate(workspace, f"ppo-{PRIMED}-{seed}", 10, end_of(seed), range(8))
    data = compared(workspace, capsys)
    assert group(data, PRIMED)["corrected"]
    assert group(data, BARE)["corrected"] == {}
    assert not verdict(data, "behaviors_absent", "none: verification")["corrected"]
    # `stay` weighs the end against the start, which nobody labelled.
    assert not verdict(data, "behaviors_stay", f"{PRIMED}: verification")["corrected"]


def test_labels_of_one_seed_give_no_interval_over_seeds(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    annotate(workspace, f"ppo-{BARE}-2", 10, NOT_SEEN, range(12))
    data = compared(workspace, capsys)
    found = group(data, BARE)["corrected"]["verification"]["end"]
    assert found["mean"] == pytest.approx(1.0)
    assert found["low"] is None
    assert found["judge_half"] > 0
    assert verdict(data, "behaviors_absent", "none: verification")["verdict"] == "undecided"
    assert any("labels of 1 of 3 seeds" in note for note in data["judge_error"]["notes"])


def test_labels_of_another_text_are_not_used(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    key = f"ppo-{PRIMED}-1"
    append_annotations(
        workspace,
        [annotation_of(rollout_of(key, 10, place), completion(4, 4, 99)) for place in range(6)],
    )
    data = compared(workspace, capsys)
    assert group(data, PRIMED)["corrected"] == {}
    assert any("6 labels are of another text" in note for note in data["judge_error"]["notes"])


def test_a_sample_that_was_chosen_by_its_counts_is_reported(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    high = range(2, 40, 4)  # all those with most verdicts
    for seed in (1, 2, 3):
        annotate(workspace, f"ppo-{PRIMED}-{seed}", 10, end_of(seed), high)
    notes = compared(workspace, capsys)["judge_error"]["notes"]
    assert any("do not look like a random sample" in note for note in notes)


def test_unfinished_annotations_are_no_labels(workspace: Workspace) -> None:
    annotate(workspace, f"ppo-{PRIMED}-1", 10, end_of(1), range(8), done=False)
    assert final_labels(latest_annotations(workspace)) == {}


def test_annotators_who_differ_count_as_their_mean_until_somebody_decides(workspace: Workspace) -> None:
    key, made = f"ppo-{PRIMED}-1", end_of(1)
    annotate(workspace, key, 10, made, [5], annotator="ann@desk")
    annotate(workspace, key, 10, made, [5], annotator="bob@desk", missed=1)
    label = final_labels(latest_annotations(workspace))[rollout_of(key, 10, 5)]
    assert label.differ
    assert label.count("verification") == 1.5
    assert label.presence("verification") == 1.0
    text = completion(*made[5], 5)
    decided = annotation_of(label.rollout, text, ADJUDICATED).model_copy(
        update={"adjudicator": "eve@desk", "considered": tuple(one.id for one in label.annotations)}
    )
    append_annotations(workspace, [decided])
    after = final_labels(latest_annotations(workspace))[label.rollout]
    assert after.count("verification") == 2.0
    assert not after.differ
    assert not after.outdated
    assert after.adjudication is not None
    assert after.adjudication.adjudicator == "eve@desk"
    # A later annotation does not undo the decision, and shows that it was made without it.
    append_annotations(workspace, [new_annotation(label.rollout, text, "cid@desk", done=True)])
    later = final_labels(latest_annotations(workspace))[label.rollout]
    assert later.count("verification") == 2.0
    assert later.outdated


def test_the_sentences_never_mix_corrected_counts_and_others(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    def words() -> str:
        _, out, _ = call(capsys, "compare", "mini", "-w", str(workspace.path))
        return " ".join(out[out.index("mini in words") :].split())

    assert "In one completion the primed model checks a result 2.1 times (before PPO 1.0)" in words()
    label_ends(workspace)
    assert "In one completion (as the rules judge counts) the primed model checks a result 2.1 times" in words()
    for seed in (1, 2, 3):
        annotate(workspace, f"ppo-{PRIMED}-{seed}", 0, START, range(8))
        annotate(workspace, f"ppo-{BARE}-{seed}", 0, FEW, range(8))
    text = words()
    assert "(corrected by people's labels) the primed model checks a result 3.1 times (before PPO 2.0)" in text
    assert "the unprimed model checks a result 1.0 times (0.0)" in text


def test_labels_that_were_made_from_a_judges_spans_are_reported(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, people, nobody = "rules", "human-0123456789ab", ""
    for place, basis in enumerate((rules, rules, people, nobody, nobody, nobody)):
        one = annotation_of(rollout_of(f"ppo-{BARE}-1", 10, place), completion(*NOT_SEEN[place], place))
        append_annotations(workspace, [one.model_copy(update={"basis": basis})])
    notes = compared(workspace, capsys)["judge_error"]["notes"]
    assert any(f"{BARE} at the end: 2 of 6 labels were made from the spans of a judge" in note for note in notes)
