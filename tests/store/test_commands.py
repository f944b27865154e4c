"""The commands on rollouts: what they print, and how they fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cogtui.cli.main import run
from cogtui.store import Query, open_store
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.text_safety import picture_controls
from tests.store.lab import Lab, append_raw, dumped, make_rollouts

Cogtui = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cogtui(filled: Lab, capsys: pytest.CaptureFixture[str]) -> Cogtui:
    """Runs a command on the workspace: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run([*arguments, "--workspace", str(filled.workspace.path)])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return call


def data(out: str) -> Any:
    envelope = json.loads(out)
    assert envelope["version"] == 1
    return envelope["data"]


def test_rollouts_as_json_have_their_texts_counts_and_spans(cogtui: Cogtui) -> None:
    code, out, _ = cogtui("rollouts", "condition:all_strategies seed:1 split:train", "--limit", "5", "--json")
    assert code == 0
    rows = data(out)
    assert len(rows) == 5
    record = {"id", "step", "split", "problem_id", "sample", "numbers", "target", "prompt", "completion", "reward",
              "correct", "answer", "finish_reason", "n_tokens", "meta"}  # fmt: skip
    spans = 0
    for row in rows:
        assert record <= set(row)
        assert row["condition"] == "all_strategies"
        for behavior in BEHAVIORS:
            own = [span for span in row["spans"] if span["behavior"] == behavior]
            assert row[behavior] == row["counts"][behavior]
            assert row[behavior] is None or row[behavior] == len(own)
        for span in row["spans"]:
            assert row["completion"][span["start"] : span["end"]] == span["quote"]
            spans += 1
    assert spans


def test_what_nobody_judged_has_no_counts(cogtui: Cogtui) -> None:
    _, out, _ = cogtui("rollouts", "condition:all_strategies seed:2", "--limit", "2", "--json")
    for row in data(out):
        assert [row[behavior] for behavior in BEHAVIORS] == [None] * 4
        assert row["spans"] == []


def test_rollouts_as_text_are_a_table_with_its_size_beside(cogtui: Cogtui) -> None:
    code, out, err = cogtui("rollouts", "split:test", "--sort", "-reward", "--limit", "4")
    assert code == 0
    head, *rows = out.splitlines()
    assert head.split()[-4:] == ["V", "B", "S", "C"]
    assert len(rows) == 4
    assert "4 of 32 rollouts" in err
    rewards = [float(row.split()[-8]) for row in rows]
    assert rewards == sorted(rewards, reverse=True)


def test_rollouts_come_newest_first_unless_asked_otherwise(cogtui: Cogtui) -> None:
    steps = [[row["step"] for row in data(cogtui("rollouts", "split:train", "--json", *sort)[1])]
             for sort in ((), ("--sort", "step"))]  # fmt: skip
    assert len(set(steps[0])) > 1 or len(set(steps[1])) > 1
    assert steps[0] == sorted(steps[0], reverse=True)
    assert steps[1] == sorted(steps[1])


def test_trace_takes_a_short_id_and_shows_spans_in_a_gutter(cogtui: Cogtui, filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        details = store.rollouts(row.id for row in store.page(Query(), limit=60).rows)
        detail = next(one for one in details if one.row.counts[0] and one.row.counts[1])
    code, out, _ = cogtui("trace", detail.row.id[:8])
    assert code == 0
    assert f"VB{' ' if not detail.row.counts[2] else 'S'}" in out
    for one in detail.judgements:
        for span in one.spans:
            assert f"{span.start}:{span.end}" in out
            assert span.quote in out
    assert f'wrong equation 0:3  "{detail.completion[:3]}": 1 is not 2' in out
    code, out, _ = cogtui("trace", detail.row.id, "--json")
    assert data(out)["id"] == detail.row.id
    assert len(data(out)["judgements"]) == 4
    fact = {"kind": "wrong_equation", "start": 0, "end": 3, "quote": detail.completion[:3], "why": "1 is not 2"}
    assert data(out)["facts"] == [{"judge_run": detail.row.judge, **fact}]
    assert data(out)["judge_runs"][0]["judge"] == "rules"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("condition:all_strategys", "no rollout has condition:all_strategys; did you mean all_strategies?"),
        ("NOT split:trains step>=0 step<0", "no rollout has split:trains; did you mean train?"),
        ("condition:zz*", "no rollout has condition:zz*; there are "),
        ("tag:good", "no rollout has tag:good; none has any"),
    ],
)
def test_a_value_that_nothing_has_is_named_with_the_nearest(cogtui: Cogtui, text: str, says: str) -> None:
    code, _, err = cogtui("rollouts", text)
    assert code == 0
    assert says in err


def test_a_filter_of_existing_values_that_matches_nothing_is_not_doubted(cogtui: Cogtui) -> None:
    _, _, err = cogtui("rollouts", "condition:al* split:train step<0")
    assert "no rollout has" not in err


def test_a_wrong_filter_is_pointed_at(cogtui: Cogtui) -> None:
    code, out, err = cogtui("rollouts", "correct:true conditon:x")
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[1].index("conditon") == lines[2].index("^")
    assert "Did you mean condition?" in err
    code, out, err = cogtui("rollouts", "step>", "--json")
    assert (code, json.loads(out)["error"]["code"]) == (2, "invalid_input")


def test_what_is_not_there_is_said(cogtui: Cogtui) -> None:
    assert cogtui("trace", "ffffffffffffffff")[0] == 4
    assert cogtui("trace", "")[0] == 4
    assert cogtui("rollouts", "--sort", "beauty")[0] == 2
    assert cogtui("import", "no-such-file.jsonl")[0] == 4
    code, _, err = cogtui("export", "step:0", "--format", "parquet")
    assert code == 2
    assert "--out" in err


def test_model_text_cannot_drive_the_terminal(cogtui: Cogtui, filled: Lab) -> None:
    folder = filled.workspace.find("ppo-000000000001")
    hostile = "\x1b]0;owned\x07\x1b[31mred [/b] \u202e \x9b31m\r over"
    (rollout, *_) = make_rollouts(folder.key, [77])
    rollout = rollout.model_copy(update={"completion": hostile, "prompt": hostile, "answer": hostile})
    append_raw(folder.path / "rollouts-late-001.jsonl", dumped(rollout))
    (folder.path / "stage.json").touch()
    for arguments in (("trace", rollout.id), ("rollouts", "step:77"), ("export", "step:77", "--format", "csv")):
        _, out, err = cogtui(*arguments)
        if arguments[0] != "export":
            assert picture_controls(out + err, "\n\t") == out + err
    _, out, _ = cogtui("trace", rollout.id, "--json")
    assert data(out)["completion"] == hostile


def test_lines_that_cannot_be_read_are_a_warning(cogtui: Cogtui, filled: Lab) -> None:
    folder = filled.workspace.find("ppo-000000000001")
    append_raw(folder.path / "rollouts-late-001.jsonl", b"{}\n")
    code, _, err = cogtui("rollouts", "step:0")
    assert code == 0
    assert "warning: 1 line could not be read" in err
    assert "rollouts-late-001.jsonl" in err


def test_reindex_counts_what_it_read(cogtui: Cogtui) -> None:
    code, _, err = cogtui("reindex")
    assert code == 0
    assert "128 rollouts and 72 judgements from" in err
    code, out, _ = cogtui("reindex", "--json")
    assert (data(out)["rollouts"], data(out)["bad_lines"]) == (128, 0)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "html"])
def test_export_writes_a_file_or_prints(cogtui: Cogtui, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out.{ending}"
    code, _, err = cogtui("export", "has:judged", "--out", str(path))
    assert code == 0
    assert "72 rollouts written" in err
    assert path.stat().st_size > 5000
    assert [each.name for each in tmp_path.glob(".*")] == []
    if ending != "html":
        code, out, _ = cogtui("export", "has:judged", "--format", ending)
        assert out == path.read_text(encoding="utf-8")
    code, _, err = cogtui("export", "--out", str(tmp_path / "no" / f"out.{ending}"))
    assert code == 3


def test_notes_are_written_listed_and_carried(cogtui: Cogtui, tmp_path: Path) -> None:
    _, out, _ = cogtui("rollouts", "--limit", "1", "--json")
    uid = data(out)[0]["id"]
    code, out, _ = cogtui("note", uid[:9], "worth a look", "--tag", "odd", "--tag", "new")
    assert (code, out) == (0, "worth a look\n#new #odd\n")
    cogtui("note", uid, "--untag", "new")
    assert data(cogtui("note", uid, "--json")[1]) == {"rollout": uid, "note": "worth a look", "tags": ["odd"]}
    assert data(cogtui("rollouts", "tag:odd", "--json")[1])[0]["id"] == uid
    path = tmp_path / "notes.jsonl"
    cogtui("notes", "--export", str(path))
    cogtui("note", uid, "", "--untag", "odd")
    assert data(cogtui("notes", "--json")[1]) == []
    # What was written last holds, also against what is brought in: nothing comes back by accident.
    cogtui("notes", "--import", str(path))
    assert data(cogtui("notes", "--json")[1]) == []
    assert cogtui("note", uid, "--tag", "two words")[0] == 2


def test_import_shows_how_it_reads_a_file_and_what_came_of_it(cogtui: Cogtui, tmp_path: Path) -> None:
    path = tmp_path / "3.jsonl"
    path.write_text('{"input": "p", "output": "o", "score": 1.0, "step": 3}\nnonsense\n')
    code, out, err = cogtui("import", str(path), "--dry-run")
    assert (code, out) == (0, "")
    assert "3.jsonl: format verl" in err
    assert "completion     from output" in err
    code, out, err = cogtui("import", str(path), "--label", "condition=theirs", "--label", "seed=4")
    assert code == 0
    assert out.startswith("import-")
    assert "line 2: not valid JSON" in err
    (row,) = data(cogtui("rollouts", "condition:theirs seed:4", "--json")[1])
    assert (row["completion"], row["reward"], row["step"], row["n_tokens"]) == ("o", 1.0, 3, None)
    assert cogtui("import", str(path), "--map", "completion")[0] == 2
