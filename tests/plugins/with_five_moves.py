"""The five moves and the loud judge, from the judge stage to the export; run by `test_judge_plugins.py`."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cogtui.analysis.agreement.measures import measure_agreement
from cogtui.analysis.agreement.sources import find_run, run_source, texts_of
from cogtui.analysis.curves import available_measures, build_curves
from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.traces.list.rollout_list import RolloutList
from cogtui.app.traces.reader.screen import TraceScreen
from cogtui.app.widgets.text_rows import TextRows
from cogtui.cli.rollouts.list import print_rows
from cogtui.store import Query, Store, open_store
from cogtui.store.export.html import write_html
from cogtui.store.filter.lexer import FilterError
from cogtui.store.filter.parser import parse
from cogtui.store.ingest.rebuild import rebuild
from cogtui.store.query.serialize import rollout_dict
from jobs.workspace import Workspace
from pipelines.behaviors.judges.llm.prompts import load_prompts
from pipelines.behaviors.judges.registry import JUDGES, make_judge
from pipelines.behaviors.judges.stage import JudgeConfig
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import BEHAVIORS, SETS
from pipelines.run import prepare, run_stage
from pipelines.stages import content_key
from tests.app.conftest import Builder, no_waiting, plain_environment
from tests.app.driving import press, running, visible_lines

__all__ = ["no_waiting", "plain_environment"]

TEXT = "In other words, make 32!!\nIt is roughly 30. Case 1: 3 + 5.\nMaybe not. Therefore (3 + 5) * 4 = 32, works."
MOVES = ("restatement", "estimation", "hedging", "case_split", "conclusion")
COUNTS = {"restatement": 1, "estimation": 1, "hedging": 1, "case_split": 1, "conclusion": 1}


@dataclass
class Judged:
    """A workspace with one stage of rollouts, judged by several judges."""

    workspace: Workspace
    rollouts: tuple[str, ...]


def judge(workspace: Workspace, name: str, upstream: Path) -> str:
    """Run a judge stage in a workspace; returns its key."""
    config = JudgeConfig(judge=name)
    key = content_key("judge", config, [upstream.name])
    folder = prepare("judge", {"judge": name}, workspace.stages / key, [upstream], base=upstream)
    run_stage(folder)
    return key


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "work")


@pytest.fixture
def judged(builder: Builder) -> Judged:
    folder = builder.stage("ppo", "c1", {"condition": "none", "seed": 1})
    rollouts = builder.rollouts(folder, [TEXT, "plain", "Maybe! maybe."], judge=False)
    builder.done(folder)
    judge(builder.workspace, "moves", folder.path)
    return Judged(builder.workspace, tuple(rollout.id for rollout in rollouts))


@pytest.fixture
def store(judged: Judged) -> Iterator[Store]:
    with open_store(judged.workspace) as store:
        store.ingest()
        yield store


def matching(store: Store, text: str) -> set[str]:
    return {row.id for row in store.page(Query(parse(text)), limit=100).rows}


def test_the_set_and_the_judges_are_registered() -> None:
    assert (*FOUR_HABITS.names, *MOVES) == BEHAVIORS
    assert list(SETS.names()) == ["four_habits", "five_moves"]
    assert {"loud", "moves"} <= set(JUDGES.names())
    assert not SETS.faults()
    assert not JUDGES.faults()


def test_an_llm_judge_asks_about_the_set_of_its_config() -> None:
    config = JudgeConfig(judge="openai:m", behaviors="five_moves")
    prompts = load_prompts("spans", behaviors=config.behavior_set())
    assert prompts.behaviors == MOVES
    assert "HEDGING" in prompts.texts["hedging"]
    assert prompts.texts["answer"] == load_prompts("spans").texts["answer"]
    assert make_judge("openai:m", config).run.params["behaviors"] == "five_moves"
    assert config.key_fields()["behaviors"] == "five_moves"
    assert "behaviors" not in JudgeConfig(judge="openai:m").key_fields()
    with pytest.raises(ValueError, match="only a language model can be asked"):
        JudgeConfig(judge="rules", behaviors="five_moves")


def test_the_index_counts_and_filters_the_moves(judged: Judged, store: Store) -> None:
    first, plain, hedged = judged.rollouts
    rows = {row.id: row for row in store.page(Query(), limit=10).rows}
    assert dict(zip(BEHAVIORS, rows[first].counts, strict=True)) == dict.fromkeys(FOUR_HABITS.names) | COUNTS
    assert {row.judged for row in rows.values()} == {"ok"}
    assert matching(store, "hedging>=1") == {first, hedged}
    assert matching(store, "hedging>=2") == {hedged}
    assert matching(store, "has:conclusion") == {first}
    assert matching(store, "restatement->estimation<40") == {first}
    assert matching(store, "hedging->hedging<10") == {hedged}
    assert matching(store, "hedging:0") == {plain}
    assert matching(store, "verification>=0") == set()
    with pytest.raises(FilterError, match="different behaviour sets"):
        parse("verification->hedging")
    assert [summary.whole for summary in store.judge_summaries()] == [3]


def test_rows_show_each_set_by_the_judge_that_is_about_it(judged: Judged, store: Store) -> None:
    first, _, hedged = judged.rollouts
    for name in ("loud", "rules"):
        judge(judged.workspace, name, judged.workspace.stages / "ppo-0000000000c1")
        store.ingest()
    rows = {row.id: row for row in store.page(Query(), limit=10).rows}
    counts = dict(zip(BEHAVIORS, rows[first].counts, strict=True))
    assert {name: counts[name] for name in MOVES} == COUNTS
    assert counts["verification"] == 1  # by the rules, not the two exclamation marks
    assert str(rows[first].judge).startswith("rules-")
    assert rows[first].judged == "ok"
    assert matching(store, "hedging->hedging<10") == {hedged}
    detail = next(iter(store.rollouts([first])))
    assert {run.judge for run in detail.judge_runs} == {"rules", "loud", "moves"}
    exported = rollout_dict(detail)
    assert {"hedging", "verification"} <= {span["behavior"] for span in exported["spans"]}
    rebuild(judged.workspace)
    assert {row.id: row.counts for row in store.page(Query(), limit=10).rows} == {
        uid: row.counts for uid, row in rows.items()
    }


def test_the_commands_show_the_moves_alone(judged: Judged, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(store.page(Query(), limit=10).rows)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[-5:] == ["R", "E", "H", "K", "V"]
    assert "B" not in head.split()
    assert len(lines) == 3


def test_curves_and_agreement_follow_the_set(judged: Judged, store: Store) -> None:
    summaries = store.per_step()
    assert available_measures(summaries) == ("accuracy", "reward", "length", "tokens", *MOVES)
    (curve,) = build_curves(summaries, "hedging")
    assert [(point.mean, point.n) for point in curve.points] == [(1.0, 3)]
    run = find_run(judged.workspace, "moves")
    source = run_source(run, list(texts_of(run)))
    agreement = measure_agreement(source, source)
    assert tuple(agreement.compared) == MOVES
    assert agreement.scores["iou50"].macro == 1.0
    assert agreement.health.statuses == {"ok": 15}


def test_exports_have_the_moves(judged: Judged, store: Store) -> None:
    details = list(store.rollouts(judged.rollouts))
    row = json.loads(json.dumps(rollout_dict(details[0])))
    assert {name: row[name] for name in MOVES} == COUNTS
    assert [span["behavior"] for span in row["spans"]] == list(MOVES)
    stream = io.StringIO()
    write_html(details, [detail.row for detail in details], stream, title="moves")
    page = stream.getvalue()
    assert "<th>H</th>" in page
    assert "<th>B</th>" not in page
    assert '<span class="x-hedging" title="hedging">Maybe</span>' in page
    assert ".x-hedging { background: #ffd1e6; }" in page


async def test_the_app_has_five_lanes_a_legend_and_jumps(judged: Judged) -> None:
    async with running(judged.workspace, (120, 30)) as (app, pilot):
        await press(pilot, "3")
        titles = app.screen.query_one("#titles", TextRows).text
        assert titles.split()[7:12] == ["R", "E", "H", "K", "V"]
        view = app.screen.query_one(RolloutList)
        assert view.go_to(judged.rollouts[0])
        await press(pilot, "enter")
        assert isinstance(app.screen, TraceScreen)
        legend = app.screen.query_one("#legend", TextRows).text
        assert " H  hedging 1" in legend
        assert " V  conclusion 1" in legend
        assert "backtracking" not in legend
        text = app.screen.query_one(TraceText)
        assert [line[:5] for line in visible_lines(text)[:3]] == ["R····", "·E·K·", "··H·V"]
        await press(pilot, "right_square_bracket", "h")
        assert text.current is not None
        assert text.spans[text.current].behavior == "hedging"
        await press(pilot, "right_square_bracket", "v")
        assert text.spans[text.current].behavior == "conclusion"
