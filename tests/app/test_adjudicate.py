"""Two annotators differ; a third person decides in the app, by keyboard alone."""

import json
from pathlib import Path

import pytest

from cogtui.app.annotation.adjudication_screen import AdjudicateScreen
from cogtui.app.annotation.draft import AnnotationDraft
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import open_store
from cogtui.store.user_data.annotations import (
    ADJUDICATED,
    FOLDER,
    HumanAnnotation,
    append_annotations,
    human_judge_run,
    latest_annotations,
    new_annotation,
)
from cogtui.store.user_data.final_labels import awaiting_adjudication, final_labels
from jobs.append_log import identity
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from tests.app.conftest import Builder
from tests.app.driving import AppPilot, notices, running, top
from tests.app.test_annotate import press
from tests.app.test_hostile import assert_screen_is_plain
from tests.app.test_traces import TEXT, mark

ANN, BOB, CID = "ann@desk", "bob@login", "cid@login"
CHECK, CHECKED = mark(TEXT, "verification", "not 32"), mark(TEXT, "verification", "That is not 32")
GOAL = mark(TEXT, "subgoal", "Try 3 + 4")
AGAIN = mark(TEXT, "backtracking", "let me try again")


@pytest.fixture
def annotated(builder: Builder) -> Builder:
    """Four rollouts: on the first two annotators differ, on the third they agree, the fourth has one annotator."""
    folder = builder.stage("ppo", "c1", {"condition": "none", "seed": 1})
    made = builder.rollouts(folder, [TEXT, TEXT + " Yes.", TEXT + " No.", "plain words"])
    first, second, third, fourth = (one.id for one in made)
    append_annotations(
        builder.workspace,
        [
            new_annotation(first, TEXT, ANN, spans=(CHECK, AGAIN), done=True),
            new_annotation(first, TEXT, BOB, spans=(CHECKED, GOAL, AGAIN), done=True),
            new_annotation(second, TEXT + " Yes.", ANN, done=True),
            new_annotation(second, TEXT + " Yes.", BOB, spans=(GOAL,), done=True),
            new_annotation(third, TEXT + " No.", ANN, spans=(GOAL,), done=True),
            new_annotation(third, TEXT + " No.", BOB, spans=(GOAL,), done=True),
            new_annotation(fourth, "plain words", ANN, done=True),
        ],
    )
    return builder


def line(pilot: AppPilot, name: str) -> str:
    return pilot.app.screen.query_one(f"#{name}", TextRows).text


def decisions(workspace: Workspace) -> list[HumanAnnotation]:
    return [one for one in latest_annotations(workspace) if one.is_adjudication]


async def test_the_walk_from_differences_to_final_labels(annotated: Builder) -> None:
    workspace = annotated.workspace
    async with running(workspace, (120, 36)) as (app, pilot):
        await press(pilot, "5")
        assert "2 to adjudicate (d)" in line(pilot, "summary")
        await press(pilot, "d")
        top(app, AdjudicateScreen)
        ids = [label.rollout for label in awaiting_adjudication(final_labels(latest_annotations(workspace)))]
        assert "annotators: ann, bob" in line(pilot, "head")
        screen = top(app, AdjudicateScreen)
        if screen.draft.text != TEXT:
            await press(pilot, "n")
        # What both marked is taken; the rest is proposed, by whom.
        assert [span.quote for span in screen.draft.spans] == ["let me try again"]
        assert {screen.proposed_by(span) for span in screen.draft.open} == {"ann", "bob"}
        assert decisions(workspace) == []  # nothing is decided by looking
        assert screen.draft.open[0].quote == "Try 3 + 4"
        assert "proposed by bob" in line(pilot, "hint")
        await press(pilot, "enter")  # the goal
        assert "proposed by bob" in line(pilot, "hint")  # the longer version of the check comes first
        await press(pilot, "enter")  # it, which leaves no room for ann's
        assert screen.draft.open == ()
        assert [span.quote for span in screen.draft.rejected] == ["not 32"]
        await press(pilot, "D")
        (decided,) = decisions(workspace)
        assert decided.adjudicator == identity()
        assert decided.done
        assert [span.quote for span in decided.spans] == ["Try 3 + 4", "That is not 32", "let me try again"]
        assert len(decided.considered) == 2
        label = final_labels(latest_annotations(workspace))[decided.rollout]
        assert not label.differ
        await press(pilot, "p" if ids[0] != decided.rollout else "n", "x", "D", "escape")
        assert len(decisions(workspace)) == 2
        assert "to adjudicate" not in line(pilot, "summary")
        await press(pilot, "d")
        assert any("annotators differ on no trace" in text for text in notices(app))
    # The annotations themselves are as they were.
    assert sum(not one.is_adjudication for one in latest_annotations(workspace)) == 7


async def test_it_fits_a_small_terminal(annotated: Builder) -> None:
    async with running(annotated.workspace, (80, 24)) as (app, pilot):
        await press(pilot, "5", "d")
        assert "annotators: ann, bob" in line(pilot, "head")
        assert "proposed by" in line(pilot, "hint")
        assert_screen_is_plain(app)


async def test_two_adjudicators_at_once_lose_nothing(annotated: Builder) -> None:
    workspace = annotated.workspace
    async with running(workspace, (120, 36)) as (app, pilot):
        await press(pilot, "5", "d")
        screen = top(app, AdjudicateScreen)
        rollout, text = screen.rollout.id, screen.draft.text
        other = new_annotation(rollout, text, ADJUDICATED, done=True, adjudicator=CID)
        # As from another host: a file of its own that this index has not read.
        path = workspace.path / FOLDER / f"{CID}.jsonl"
        path.write_text(json.dumps(other.model_dump(mode="json", exclude_defaults=True)) + "\n")
        await press(pilot, "x")
        assert f"{CID} decided this rollout meanwhile" in line(pilot, "counts")
        assert screen.unsaved
        assert [one.adjudicator for one in decisions(workspace)] == [CID]
        await press(pilot, "escape", "y")
        await press(pilot, "5", "d")


def test_a_decision_is_checked_against_the_latest_one(annotated: Builder) -> None:
    with open_store(annotated.workspace) as store:
        store.ingest()
        rollout = awaiting_adjudication(store.final_labels())[0].rollout
        text = store.rollout(rollout).completion
        first = new_annotation(rollout, text, ADJUDICATED, done=True, adjudicator=ANN)
        store.write_human([first], after=None)
        second = new_annotation(rollout, text, ADJUDICATED, done=True, adjudicator=BOB)
        with pytest.raises(InvalidInput, match="ann@desk decided this rollout meanwhile"):
            store.write_human([second], after=None)
        store.write_human([second], after=first.stamp)
        assert store.human(rollout, ADJUDICATED) == second
    lines = (annotated.workspace.path / FOLDER / f"{identity()}.jsonl").read_text()
    assert first.id in lines  # the earlier decision stays in the file


async def test_an_annotation_made_after_the_decision_is_proposed_beside_it(annotated: Builder) -> None:
    workspace = annotated.workspace
    with open_store(workspace) as store:
        store.ingest()
        waiting = awaiting_adjudication(store.final_labels())
        label = next(one for one in waiting if store.rollout(one.rollout).completion == TEXT)
        decision = new_annotation(
            label.rollout,
            TEXT,
            ADJUDICATED,
            done=True,
            spans=(CHECK,),
            rejected=(GOAL, AGAIN, CHECKED),
            adjudicator=ANN,
            considered=tuple(one.id for one in label.annotations),
        )
        more = (CHECK, mark(TEXT, "backward_chaining", "32"))
        store.write_human([decision, new_annotation(label.rollout, TEXT, CID, done=True, spans=more)])
        assert label.rollout in [one.rollout for one in awaiting_adjudication(store.final_labels())]
    async with running(workspace, (120, 36)) as (app, pilot):
        await press(pilot, "5", "d")
        screen = top(app, AdjudicateScreen)
        if screen.draft.text != TEXT:
            await press(pilot, "n")
        assert [span.quote for span in screen.draft.spans] == ["not 32"]
        assert [(span.behavior, screen.proposed_by(span)) for span in screen.draft.open] == [
            ("backward_chaining", "cid")
        ]
        assert "decided by ann@desk" in line(pilot, "head")
        await press(pilot, "enter", "D")
    assert not final_labels(latest_annotations(workspace))[label.rollout].outdated


async def test_a_trace_that_vanished_is_not_opened(annotated: Builder) -> None:
    workspace = annotated.workspace
    append_annotations(
        workspace,
        [
            new_annotation("0123456789abcdef", "gone", ANN, done=True),
            new_annotation("0123456789abcdef", "gone", BOB, done=True, spans=(mark("gone", "subgoal", "gone"),)),
        ],
    )
    async with running(workspace, (120, 36)) as (app, pilot):
        await press(pilot, "5")
        assert "2 to adjudicate (d)" in line(pilot, "summary")
        await press(pilot, "d", "n", "n")
        assert top(app, AdjudicateScreen).rollout.id != "0123456789abcdef"
    assert "0123456789abcdef" in final_labels(latest_annotations(workspace))  # kept


def test_the_final_labels_are_a_judge_run_of_their_own(annotated: Builder, tmp_path: Path) -> None:
    with open_store(annotated.workspace) as store:
        store.ingest()
        label = awaiting_adjudication(store.final_labels())[0]
        text = store.rollout(label.rollout).completion
        store.write_human([new_annotation(label.rollout, text, ADJUDICATED, done=True, adjudicator=ANN)])
        runs = {one.id for one in store.rollout(label.rollout).judge_runs}
    assert {human_judge_run(ADJUDICATED).id, human_judge_run(ANN).id, human_judge_run(BOB).id} <= runs


def test_accepting_a_version_rejects_the_others() -> None:
    draft = AnnotationDraft(TEXT).propose([CHECK, CHECKED, GOAL], "annotators").accept_version(CHECK)
    assert [span.quote for span in draft.spans] == ["not 32"]
    assert [span.quote for span in draft.rejected] == ["That is not 32"]
    assert [span.quote for span in draft.open] == ["Try 3 + 4"]
