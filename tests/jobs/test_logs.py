"""Logs: every byte once from either end, at once whatever the size, followed over rotation, truncation and retries."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.attempts.records import EndCause, ExitRecord, write_exit
from jobs.logs.follow import FileFollower, StageFollower, StageLogLine
from jobs.logs.reader import ERRORS, LONGEST_LINE, LogFile, attempt_logs, best_log, clean_line

PIECES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [b"\n", b"\n\n", b"x" * 9000, "é漢🙂".encode() * 1500, b"10%\r20%\r", b"\x1b[31mred\x1b[0m\n", b"\0"]
    ),
)
LOGS = st.lists(PIECES, max_size=12).map(b"".join)
EVERY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def log_of(folder: Path, data: bytes) -> LogFile:
    path = folder / "x.log"
    path.write_bytes(data)
    return LogFile(path)


@EVERY
@given(LOGS, st.integers(100, 30_000))
def test_lines_tile_the_file_from_either_end(tmp_path: Path, data: bytes, wanted: int) -> None:
    log = log_of(tmp_path, data)
    offset = 0
    while offset < len(data):
        chunk = log.after(offset, wanted)
        assert chunk.start == offset
        assert chunk.end > offset
        assert all(one.end == two.start for one, two in zip(chunk.lines, chunk.lines[1:], strict=False))
        offset = chunk.end
    assert offset == len(data)
    stop: int | None = None
    while stop is None or stop > 0:
        chunk = log.before(stop, wanted)
        assert chunk.end == (len(data) if stop is None else stop)
        if not chunk.lines:
            break
        stop = chunk.start


@EVERY
@given(LOGS)
def test_no_line_is_longer_than_the_limit_and_none_is_torn_in_a_character(tmp_path: Path, data: bytes) -> None:
    for line in log_of(tmp_path, data).after(0, 10**6).lines:
        assert line.end - line.start <= LONGEST_LINE


@EVERY
@given(st.lists(PIECES, min_size=1, max_size=12), st.integers(1, 5))
def test_a_growing_file_is_given_once_whatever_the_steps(tmp_path: Path, pieces: list[bytes], every: int) -> None:
    path = tmp_path / "grows.log"
    path.write_bytes(b"")
    follower = FileFollower(path)
    got = []
    for number, piece in enumerate(pieces):
        with path.open("ab") as stream:
            stream.write(piece)
        if number % every == 0:
            got += list(follower.read())
    got += list(follower.read(last=True))
    data = b"".join(pieces)
    if b"\r" not in data and len(max(data.split(b"\n"), key=len)) <= LONGEST_LINE:
        whole = data.split(b"\n")
        assert got == [clean_line(line) for line in (whole if whole[-1] else whole[:-1])]


def test_a_file_that_is_replaced_or_cut_short_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("one\ntwo\npart")
    follower = FileFollower(path)
    assert list(follower.read()) == ["one", "two"]
    with path.open("a") as stream:
        stream.write("ial\n")
    assert list(follower.read()) == ["partial"]
    path.rename(tmp_path / "a.log.1")
    assert list(follower.read()) == []
    path.write_text("after rotation, and longer than before\n")
    assert list(follower.read()) == ["after rotation, and longer than before"]
    path.write_text("cut\n")
    os.truncate(path, 4)
    assert list(follower.read()) == ["cut"]


@pytest.mark.parametrize("from_end", [False, True])
@pytest.mark.parametrize("old", ["one\ntwo\n", "".join(f"old line {n}\n" for n in range(200))])
def test_a_file_that_is_emptied_and_grows_past_its_old_size_is_read_anew(
    tmp_path: Path, old: str, from_end: bool
) -> None:
    path = tmp_path / "a.log"
    path.write_text(old)
    follower = FileFollower(path)
    if from_end:
        follower.from_end(1)
    before = list(follower.read())
    assert before == old.splitlines()[-1 if from_end else 0 :]
    inode = path.stat().st_ino
    os.truncate(path, 0)
    new = [f"new line {n}" for n in range(300)]
    path.write_text("\n".join(new) + "\n")
    assert path.stat().st_ino == inode, "as copytruncate does it"
    assert list(follower.read()) == new
    with path.open("a") as stream:
        stream.write("and on\n")
    assert list(follower.read()) == ["and on"]


def test_a_file_that_is_emptied_and_written_to_the_same_size_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("step 1\n")
    follower = FileFollower(path)
    assert list(follower.read()) == ["step 1"]
    path.write_text("step 2\n")
    assert list(follower.read()) == ["step 2"]
    assert list(follower.read()) == []


def test_the_last_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"line {number:06d} {'x' * 60}\n" for number in range(20_000)))
    follower = FileFollower(path)
    follower.from_end(3000)
    got = list(follower.read())
    assert len(got) == 3000
    assert got[0].startswith("line 017000")
    follower = FileFollower(path)
    follower.from_end(0)
    assert list(follower.read()) == []


def test_all_attempts_are_followed_and_new_ones_appear(tmp_path: Path) -> None:
    first = _attempt(tmp_path, 1)
    (first / "stdout.log").write_text("a\n")
    (first / "stderr.log").write_text("cogtui: start 2\nb")
    follower = StageFollower(tmp_path, lines=10)
    assert list(follower.read()) == [
        StageLogLine(1, "stdout.log", "a"),
        StageLogLine(1, "stderr.log", "cogtui: start 2"),
    ]
    second = _attempt(tmp_path, 2)
    (second / "stdout.log").write_text("c\n" * 20)
    assert list(follower.read()) == [StageLogLine(2, "stdout.log", "c")] * 20
    assert list(follower.read(last=True)) == [StageLogLine(1, "stderr.log", "b")]


def test_a_start_that_failed_shows_the_log_of_what_should_have_started_it(tmp_path: Path) -> None:
    attempt = _attempt(tmp_path, 1)
    (attempt / "started.json").unlink()
    (attempt / "77_0_log.err").write_text("slurmstepd: error: no such file\n")
    assert list(StageFollower(tmp_path).read()) == [StageLogLine(1, "77_0_log.err", "slurmstepd: error: no such file")]


def test_the_shards_of_an_array_are_followed_and_one_that_failed_is_opened_first(tmp_path: Path) -> None:
    attempt = _attempt(tmp_path, 1)
    (attempt / "started.json").unlink()
    (attempt / "shards").mkdir()
    (attempt / "shards" / "7_0_log.err").write_text("from Slurm\n")
    follower = StageFollower(tmp_path)
    assert list(follower.read()) == [StageLogLine(1, "shards/7_0_log.err", "from Slurm")]
    for index in range(3):
        shard = attempt / f"shard-{index:03d}"
        shard.mkdir()
        (shard / "started.json").write_text("{}")
        (shard / "stderr.log").write_text(f"of {index}\n")
        why: EndCause = "failed" if index == 1 else "done"
        write_exit(shard, ExitRecord(run=1, host="n1", time=1.0, why=why))
    assert list(follower.read()) == [
        StageLogLine(1, f"shard-{index:03d}/stderr.log", f"of {index}") for index in range(3)
    ]
    logs = attempt_logs(tmp_path)
    assert [str(path.relative_to(attempt)) for path in logs] == [
        "shard-001/stderr.log", "shard-000/stderr.log", "shard-002/stderr.log", "shards/7_0_log.err",
    ]  # fmt: skip
    assert best_log(logs, failed=True) == attempt / "shard-001/stderr.log"


def _attempt(stage: Path, number: int) -> Path:
    folder = stage / f"attempts/{number:03d}"
    folder.mkdir(parents=True)
    (folder / "started.json").write_text("{}")
    return folder


def test_searching_both_ways(tmp_path: Path) -> None:
    text = b"".join(
        b"line %d needle\n" % number if number % 1000 == 7 else b"line %d\n" % number for number in range(300_000)
    )
    log = log_of(tmp_path, text)
    pattern = re.compile(rb"needle")
    places = [match.start() for match in re.finditer(rb"line \d+ needle", text)]
    found, offset = [], 0
    while (place := log.find(pattern, offset)) is not None:
        found.append(place)
        offset = place + 20
    assert found == places
    back: list[int] = []
    at = len(text)
    while (place := log.find(pattern, at, backwards=True)) is not None:
        back.append(place)
        at = place
    assert back == places[::-1]
    assert log.find(re.compile(rb"nothing"), 0) is None
    assert log.find(pattern, 0, stop=lambda: True) is None


@pytest.mark.parametrize(
    "line",
    [
        b"Traceback (most recent call last):",
        b"ValueError: bad",
        b"torch.OutOfMemoryError: CUDA out of memory",
        b"my.CustomException: x",
        b"2026-11-23 ERROR something",
        b"slurmstepd: error: Detected 1 oom-kill event",
        b"Segmentation fault (core dumped)",
        b"Killed",
        b"fatal: not a repository",
    ],
)
def test_the_first_error_is_found_far_behind(tmp_path: Path, line: bytes) -> None:
    before = b"step 3 error_rate 0.25 terrors mirrored\n" * 60_000
    log = log_of(tmp_path, before + line + b"\nErrors: 3\n")
    assert log.first_error() == len(before)
    assert ERRORS.search(line)


def test_no_error_no_place(tmp_path: Path) -> None:
    assert log_of(tmp_path, b"error_rate=0.2 skilled\n" * 100).first_error() is None
    assert log_of(tmp_path, b"").first_error() is None


def test_the_end_of_a_sparse_gigabyte_is_read_in_one_block(tmp_path: Path) -> None:
    path = tmp_path / "big.log"
    with path.open("wb") as stream:
        stream.truncate(2**30)
        stream.seek(0, 2)
        stream.write(b"\nlast line\n")
    chunk = LogFile(path).end()
    assert chunk.lines[-1].text == "last line"
    assert chunk.size == 2**30 + 11
    assert chunk.end - chunk.start <= 2**16


def test_which_log_to_open_first(tmp_path: Path) -> None:
    assert best_log(attempt_logs(tmp_path), failed=True) is None
    for number in (1, 2):
        folder = _attempt(tmp_path, number)
        (folder / "stdout.log").write_text("out")
        (folder / "stderr.log").write_text("")
        (folder / "notes.txt").write_text("not a log")
    logs = attempt_logs(tmp_path)
    assert [(path.parent.name, path.name) for path in logs] == [
        ("002", "stderr.log"), ("002", "stdout.log"), ("001", "stderr.log"), ("001", "stdout.log"),
    ]  # fmt: skip
    assert best_log(logs, failed=True) == tmp_path / "attempts/002/stdout.log"  # stderr is empty
    (tmp_path / "attempts/002/stderr.log").write_text("why")
    assert best_log(logs, failed=True) == tmp_path / "attempts/002/stderr.log"
    assert best_log(logs, failed=False) == tmp_path / "attempts/002/stdout.log"


def test_what_a_terminal_would_leave() -> None:
    assert clean_line(b"\x1b[1;31merror\x1b[0m: x\r\n") == "error: x"
    assert clean_line(b" 10%|#   |\r100%|####|\n") == "100%|####|"
    assert clean_line(b"\xff\xfe") == "\ufffd\ufffd"
