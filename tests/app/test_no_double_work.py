"""Opening a trace from a list reads each file once and resolves nothing that the list already knows."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cogtui.app.traces.compare.screen import CompareScreen
from cogtui.app.traces.reader.screen import TraceScreen
from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.judges.rules.judge import RulesJudge
from pipelines.files import write_json
from tests.app.conftest import Builder
from tests.app.driving import press, running, top
from tests.app.test_traces import SPANS, TEXT


class OpenRecorder:
    """Records the files that any thread of this process opens; an audit hook cannot be removed, only switched off."""

    def __init__(self) -> None:
        self.paths: list[Path] | None = None
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.paths is not None and event == "open" and isinstance(arguments[0], str):
            self.paths.append(Path(arguments[0]))

    @contextmanager
    def recording(self) -> Iterator[list[Path]]:
        """The files opened inside the block."""
        paths: list[Path] = []
        self.paths = paths
        try:
            yield paths
        finally:
            self.paths = None


OPENS = OpenRecorder()


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The SQL statements that any connection executes."""
    found: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(found.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    return found


@pytest.fixture
def judged(builder: Builder) -> Builder:
    """Two rollouts of one problem with four judgements each."""
    folder = builder.stage("ppo", "c1", {"condition": "none", "seed": 1})
    builder.done(folder)
    builder.rollouts(folder, ["early one"], step=0, stream="s0")
    builder.rollouts(folder, [TEXT], step=10, spans=[SPANS], stream="s10")
    return builder


async def test_opening_a_trace_opens_each_file_once_and_does_not_resolve_its_id(
    judged: Builder, statements: list[str]
) -> None:
    async with running(judged.workspace) as (app, pilot):
        await press(pilot, "3")
        statements.clear()
        with OPENS.recording() as opened:
            await press(pilot, "enter")
        assert top(app, TraceScreen).detail is not None
        streams = sorted(path.name for path in opened if path.suffix == ".jsonl")
        assert streams == ["judgements-s10-001.jsonl", "rollouts-s10-001.jsonl"]
        queries = [text for text in statements if text.startswith("SELECT")]
        assert not [text for text in queries if "uid =" in text or "uid >=" in text]
        # The row, the names of tasks and judge runs (two small tables), its address, two files, the judgements, the
        # note, and the position in the list.
        assert len(queries) <= 9, queries


async def test_a_stored_rules_judgement_is_not_computed_again(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "3 + 5 = 9. That is not 32. Let me try again: (3 + 5) * 4 = 32. <answer>(3 + 5) * 4</answer>"
    folder = builder.stage("ppo", "c1", {"condition": "none", "seed": 1})
    builder.done(folder)
    (rollout,) = builder.rollouts(folder, [text], judge=False)
    judge = RulesJudge()
    (judged,) = judge.judge([JudgeTask(rollout.id, rollout.task, rollout.problem, text)], builder.workspace.path)
    assert judged.facts
    write_json(folder.artifacts / "judge_run.json", judge.run.model_dump(mode="json"))
    with folder.stream("judgements", "train") as writer:
        writer.append(judged.records(judge.run.id))

    def judge_again(*_: object) -> None:
        raise AssertionError("the rules judge ran although its judgement is stored")

    monkeypatch.setattr("pipelines.behaviors.judges.rules.judge.find_behaviors", judge_again)
    async with running(builder.workspace) as (app, pilot):
        await press(pilot, "3", "enter")
        screen = top(app, TraceScreen)
        assert screen.rules is not None
        assert screen.rules.facts == judged.facts
        assert screen.rules.counts == {behavior: verdict.count for behavior, verdict in judged.verdicts.items()}


async def test_comparing_two_rollouts_opens_each_of_their_files_once(judged: Builder) -> None:
    async with running(judged.workspace) as (app, pilot):
        await press(pilot, "3")
        with OPENS.recording() as opened:
            await press(pilot, "d")
        assert top(app, CompareScreen).pairing is not None
        streams = sorted(path.name for path in opened if path.suffix == ".jsonl")
        assert streams == [
            "judgements-s0-001.jsonl", "judgements-s10-001.jsonl", "rollouts-s0-001.jsonl", "rollouts-s10-001.jsonl",
        ]  # fmt: skip
