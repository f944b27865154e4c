"""Streams: whole lines only, no record twice, nothing lost when an attempt was killed."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.records import Metric, Rollout, countdown_fields
from pipelines.streams import (
    StreamWriter,
    complete_lines,
    parse_line,
    read_rollouts,
    read_stream,
    stream_files,
    strip_envelope,
)


def rollout(number: int, completion: str = "1 + 2 = 3") -> Rollout:
    return Rollout(
        id=f"{number:016x}",
        step=number,
        split="train",
        problem_id="p",
        sample=0,
        **countdown_fields((1, 2), 3),
        prompt="",
        completion=completion,
        reward=0.0,
        correct=False,
        answer=None,
        finish_reason="stop",
        n_tokens=5,
    )


def test_a_torn_tail_waits_and_offsets_resume(tmp_path: Path) -> None:
    path = tmp_path / "metrics-train-001.jsonl"
    path.write_bytes(b'{"a":1}\n\n{"b":2}\n{"c":')
    lines = list(complete_lines(path))
    assert [line.data for line in lines] == [b'{"a":1}', b'{"b":2}']
    with path.open("ab") as stream:
        stream.write(b"3}\n")
    assert [line.data for line in complete_lines(path, lines[-1].end)] == [b'{"c":3}']


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")), max_size=20), st.binary(max_size=9))
def test_lines_are_those_between_newlines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("lines") / "file.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + tail.replace(b"\n", b""))
    found = list(complete_lines(path))
    assert [line.data for line in found] == [line for line in lines if line.strip()]
    data = path.read_bytes()
    assert all(data[line.start : line.end] == line.data + b"\n" for line in found)


def test_a_second_attempt_writes_only_what_is_missing(tmp_path: Path) -> None:
    with StreamWriter(tmp_path, "rollouts", "train") as writer:
        assert writer.append([rollout(1), rollout(2)]) == 2
    first = stream_files(tmp_path, "rollouts")[0]
    torn = first.read_bytes() + b'{"v":1,"id":"00000000000000'
    first.write_bytes(torn)
    with StreamWriter(tmp_path, "rollouts", "train") as writer:
        assert len(writer) == 2
        assert writer.append([rollout(2), rollout(3)]) == 1
    assert [item.id for item in read_rollouts(tmp_path)] == [f"{number:016x}" for number in (1, 2, 3)]
    assert first.read_bytes() == torn, "a file of an ended attempt is never touched again"
    assert [record["seq"] for record in read_stream(tmp_path, "rollouts")] == [0, 1, 2]


def test_files_rotate_between_lines(tmp_path: Path) -> None:
    with StreamWriter(tmp_path, "rollouts", "train", rotate_bytes=600) as writer:
        writer.append(rollout(number) for number in range(6))
    files = stream_files(tmp_path, "rollouts")
    assert len(files) > 1
    assert all(path.read_bytes().endswith(b"\n") for path in files)
    assert len(list(read_rollouts(tmp_path))) == 6


def test_a_full_disk_closes_the_writer_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = StreamWriter(tmp_path, "metrics", "train")
    writer.append([Metric(step=1, values={"reward": 0.5})])
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[: len(data) // 2]))
    with pytest.raises(OSError, match="disk is full"):
        writer.append([Metric(step=2, values={"reward": 0.6})])
    monkeypatch.undo()
    with pytest.raises(ValueError, match="closed"):
        writer.append([Metric(step=2, values={"reward": 0.6})])
    with StreamWriter(tmp_path, "metrics", "train") as again:
        assert again.append([Metric(step=step, values={"reward": 0.6}) for step in (1, 2)]) == 1
    assert [record["step"] for record in read_stream(tmp_path, "metrics")] == [1, 2]


@given(st.text())
def test_any_text_survives_a_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("text")
    with StreamWriter(folder, "rollouts", "train") as writer:
        writer.append([rollout(1, text)])
    (line,) = complete_lines(stream_files(folder, "rollouts")[0])
    assert line.data.isascii()
    assert Rollout.model_validate(strip_envelope(parse_line(line.data))).completion == text


def test_a_lone_surrogate_survives_a_line(tmp_path: Path) -> None:
    with StreamWriter(tmp_path, "rollouts", "train") as writer:
        writer.append([rollout(1, "a\ud800b")])
    assert next(read_rollouts(tmp_path)).completion == "a\ud800b"


def test_malformed_lines_are_passed_over_by_readers(tmp_path: Path) -> None:
    with StreamWriter(tmp_path, "rollouts", "train") as writer:
        writer.append([rollout(1)])
    (tmp_path / "rollouts-train-002.jsonl").write_bytes(b"not json\n[1]\n" + json.dumps({"v": 1}).encode() + b"\n")
    assert [record.get("id") for record in read_stream(tmp_path, "rollouts")] == [f"{1:016x}", None]
    with StreamWriter(tmp_path, "rollouts", "train") as writer:
        assert len(writer) == 1
