"""Imports from archives, compressed files and documents: whole, resumed, and refused by name."""

import gzip
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogtui.cli.rollouts.import_ import finish
from cogtui.store.importing.opening import read_files
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.preview import previews
from cogtui.store.importing.run import run_import
from pipelines.errors import CogtuiError, InvalidInput
from pipelines.streams import read_rollouts
from tests.commands import cogtui_here
from tests.store.lab import Lab, make_rollouts, write_rollouts

ROWS = [{"input": f"{number} + 1?", "output": f"It is {number + 1}.", "score": 1.0} for number in range(1200)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def imported(lab: Lab, path: Path) -> list[Any]:
    plan = plan_import([path])
    finish(run_import(plan, lab.workspace))
    return list(read_rollouts(lab.workspace.folder(plan.key).path))


def test_an_archive_is_imported_whole_and_resumed_where_it_stopped(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("steps/10.jsonl", LINES)
        archive.writestr("steps/9.jsonl.gz", gzip.compress(LINES.encode()))
    plan = plan_import([path])
    assert [file.member for file in plan.files] == ["steps/9.jsonl.gz", "steps/10.jsonl"]
    stopped = run_import(plan, lab.workspace)
    assert next(stopped).rows == 500
    stopped.close()
    rollouts = imported(lab, path)
    assert [one.step for one in rollouts].count(9) == [one.step for one in rollouts].count(10) == 1200
    assert len({one.id for one in rollouts}) == 2400
    assert len(imported(lab, path)) == 2400


def test_an_archive_of_logs_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "logs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.eval", b"PK")
        archive.writestr("notes.txt", b"")
    with pytest.raises(InvalidInput, match="a zip archive without files of rows") as caught:
        plan_import([path])
    assert "a.eval: it is an archive inside an archive: unpack the outer one" in caught.value.detail


def test_the_rows_of_a_document_are_counted_one_by_one(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    samples = [{"id": n, "epoch": 1, "input": "1 + 1?", "messages": [{"role": "user", "content": "1 + 1?"}, *answer],
                "output": {}, "scores": {}}
               for n, answer in enumerate([[{"role": "assistant", "content": "2"}], [], "no list"])]  # fmt: skip
    path.write_text(json.dumps({"eval": {}, "samples": [*samples, 7]}, indent=1))
    plan = plan_import([path])
    state = finish(run_import(plan, lab.workspace))
    assert (state.rows, state.bad) == (1, 3)
    assert [named.partition(":")[0] for named in state.files[0].named] == [f"samples[{n}]" for n in (2, 3, 4)]


def test_our_own_records_are_read_from_compressed_files(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    stage = lab.stage("sample", 1)
    write_rollouts(stage, make_rollouts(stage.path.name, range(2)))
    (stream,) = stage.path.glob("rollouts-*.jsonl")
    packed = tmp_path / "rollouts.jsonl.gz"
    packed.write_bytes(gzip.compress(stream.read_bytes()))
    workspace = read_files([packed])
    (folder,) = workspace.stages.iterdir()
    assert list(read_rollouts(folder)) == list(read_rollouts(stage.path)) != []


def test_a_bomb_is_an_error_of_the_command_with_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "p", "completion": "' + b"0" * (96 << 20) + b'"}\n'))
    done = cogtui_here("import", str(path), "--workspace", str(tmp_path / "workspace"), "--json")
    assert done.returncode == 2
    assert "bomb.jsonl.gz expands to more than" in json.loads(done.stdout)["error"]["summary"]


def test_what_is_no_file_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(InvalidInput, match="neither a file nor a folder"):
        plan_import([tmp_path / "pipe.jsonl"])
    (tmp_path / "1.jsonl").write_text(LINES)
    plan = plan_import([tmp_path])
    assert [file.path.name for file in plan.files] == ["1.jsonl"]
    assert [each.path.name for each in plan.left_out] == ["pipe.jsonl"]


def test_a_file_that_grows_while_it_is_read_keeps_what_was_there(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "grows.jsonl"
    path.write_text(LINES)
    running = run_import(plan_import([path]), lab.workspace)
    next(running)
    with path.open("a") as stream:
        stream.write(LINES + '{"input": "half a')
    *_, state = running
    assert (state.rows, state.bad) == (2400, 1)
    with path.open("a") as stream:
        stream.write('", "output": "row", "score": 0}\n')
    assert len(imported(lab, path)) == 2401


NAMES = [
    "samples",
    "eval",
    "results",
    "categories",
    "datasets",
    "request_states",
    "steps",
    "schema_version",
    "messages",
    "completion",
    "prompt",
    "doc_id",
    "arguments",
    "resps",
    "question",
    "expected_answer",
    "completions",
    "role",
    "content",
    "conversations",
    "instance_id",
    "predicted_text",
    "input",
    "output",
    "epoch",
    "data",
    "x",
]
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("ATIF-v1.4")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    rows=st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), min_size=1, max_size=3),
    is_document=st.booleans(),
    key=st.sampled_from(["", "results", "data.samples"]),
)
def test_documents_of_any_shape_are_read_or_refused_by_name(
    rows: list[dict[str, Any]], is_document: bool, key: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "the_file.json"
        path.write_text(json.dumps(rows[0], indent=1) if is_document else "\n".join(map(json.dumps, rows)))
        try:
            plan = plan_import([path], mapping={"rows": key} if key else None)
        except CogtuiError as error:
            summary = error.summary
            assert "the_file" in summary
            return
        for _, preview in previews(plan):
            assert preview.rollouts or preview.problem
            assert "the importer" not in preview.problem
