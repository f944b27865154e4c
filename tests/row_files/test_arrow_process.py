"""Parquet and Arrow files are decoded in other processes: an abort there is an error that names the file."""

import datetime
import decimal
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # brings no type information
import pytest

from pipelines.errors import InvalidInput
from pipelines.row_files import RawRow, count_parquet_rows, read_rows
from pipelines.row_files import columnar as limits
from tests.processes import runs

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

MANY = 400_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of more rows than are decoded ahead."""
    path = tmp_path_factory.mktemp("large") / "large.parquet"
    pq.write_table(pa.table({"n": list(range(MANY)), "text": ["6 + 7 = 13"] * MANY}), path, row_group_size=10_000)
    return path


def decoders() -> list[int]:
    """Processes below this one that decode."""
    return [process.pid for process in psutil.Process().children(recursive=True) if is_decoder(process)]


def is_decoder(process: psutil.Process) -> bool:
    try:
        return any("arrow_worker" in part for part in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def wait_for(condition: Callable[[], object], patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_bytes_that_abort_pyarrow_are_refused_by_name(tmp_path: Path) -> None:
    """pyarrow 26 aborts where the footer's statistics do not fit its schema: an exception leaves `noexcept` code."""
    path = tmp_path / "the_file.parquet"
    pq.write_table(pa.table({"n": [1, 2, None]}), path)
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    optional = 2  # the column may be null: an enumeration in zigzag encoding
    reasons = []
    for place in range(footer, len(content) - 8):
        if content[place] == optional:
            path.write_bytes(content[:place] + bytes([62]) + content[place + 1 :])
            try:
                list(read_rows(path))
            except InvalidInput as error:
                reasons.append(error.summary)
    assert reasons
    assert all("the_file.parquet is a damaged parquet file" in reason for reason in reasons)
    if pa.__version__.startswith("26."):
        assert any("ended by SIGABRT" in reason and "histogram size mismatch" in reason for reason in reasons)
    path.write_bytes(content)
    assert [row.value for row in read_rows(path)] == [{"n": 1}, {"n": 2}, {"n": None}]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_decoder_that_dies_is_an_error_that_names_the_file(large: Path, number: signal.Signals) -> None:
    before = set(decoders())
    rows = read_rows(large)
    assert next(rows).value == {"n": 0, "text": "6 + 7 = 13"}
    (newest,) = [pid for pid in set(decoders()) - before if not psutil.Process(pid).children()]
    os.kill(newest, number)
    with pytest.raises(InvalidInput, match=rf"large\.parquet is a damaged parquet file.*{number.name}"):
        list(rows)
    assert sum(1 for _ in read_rows(large)) == MANY


def test_rows_that_are_not_wanted_end_their_decoder(large: Path) -> None:
    list(islice(read_rows(large), 3))
    before = set(decoders())
    kept = read_rows(large)
    next(kept)
    added = set(decoders()) - before
    assert added
    kept = iter(())
    wait_for(lambda: not any(runs(pid) for pid in added))


def test_files_are_read_side_by_side(large: Path) -> None:
    for number, (one, other) in enumerate(zip(read_rows(large), islice(read_rows(large), 5_000), strict=False)):
        assert one == other
        assert one.value["n"] == number


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_of_multiprocessing_have_decoders_of_their_own(large: Path, method: str) -> None:
    rows = read_rows(large)
    next(rows)
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(count_rows, (large,)) == MANY
    assert sum(1 for _ in rows) == MANY - 1
    assert count_parquet_rows(large) == MANY


def count_rows(path: Path) -> int:
    return sum(1 for _ in read_rows(path))


@pytest.fixture
def reader(large: Path) -> Iterator[subprocess.Popen[str]]:
    """A process, in a group of its own, that has read some rows and goes on slowly."""
    program = f"""
        import time
        from pathlib import Path
        from pipelines.row_files import read_rows
        try:
            for number, row in enumerate(read_rows(Path({str(large)!r}))):
                if number == 0:
                    print("reads", flush=True)
                time.sleep(0.01)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reads\n"
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_end_of_a_reader_ends_its_decoders(reader: subprocess.Popen[str], number: signal.Signals) -> None:
    below = [process.pid for process in psutil.Process(reader.pid).children(recursive=True)]
    assert len(below) == 3  # the server, a decoder, and the parent that reports its end
    os.killpg(reader.pid, number)
    said, _ = reader.communicate(timeout=60)
    assert said == ("interrupted\n" if number == signal.SIGINT else "")
    wait_for(lambda: not any(runs(pid) for pid in below))


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "marshal", "tempfile"):
        (tmp_path / f"{name}.py").write_text("import os\nos.abort()\n")
    pq.write_table(pa.table({"n": [1]}), tmp_path / "a.parquet")
    program = (
        "from pathlib import Path; from pipelines.row_files import read_rows; print(list(read_rows(Path('a.parquet'))))"
    )
    root = str(Path(__file__).parents[2])
    code = f"import sys; sys.path[0] = {root!r}; {program}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "value={'n': 1}" in done.stdout, done.stderr


def test_cells_that_are_not_json_become_json(tmp_path: Path) -> None:
    table = pa.table({
        "text": pa.array([b"It is 13.", b"\xff\xfe"], pa.binary()),
        "reward": pa.array([decimal.Decimal("0.5"), decimal.Decimal("1.0")], pa.decimal128(5, 1)),
        "seed": pa.array([decimal.Decimal(3), None], pa.decimal128(20, 0)),
        "at": pa.array([datetime.datetime(2026, 11, 29, 12), None]),
        "scores": pa.array([[("format", 1.0)], []], pa.map_(pa.string(), pa.float64())),
        "label": pa.array(["a", None]).dictionary_encode(),
        "half": pa.array([0.5, None], pa.float16()),
        "nested": pa.array([{"raw": b"x"}, None], pa.struct([("raw", pa.binary())])),
    })  # fmt: skip
    pq.write_table(table.drop_columns(["half"]), tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    first = {
        "text": "It is 13.", "reward": 0.5, "seed": 3, "at": "2026-11-29 12:00:00", "scores": [["format", 1.0]],
        "label": "a", "nested": {"raw": "x"},
    }  # fmt: skip
    second = {
        "text": {"bytes": 2}, "reward": 1.0, "seed": None, "at": None, "scores": [], "label": None, "nested": None,
    }  # fmt: skip
    assert [row.value for row in read_rows(tmp_path / "a.parquet")] == [first, second]
    assert [row.value for row in read_rows(tmp_path / "a.arrow")] == [{**first, "half": 0.5}, {**second, "half": None}]


def test_a_row_that_is_too_large_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ROW_BYTES", 20 << 20)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "b" * (32 << 20), "c"]}), path)
    rows: list[RawRow] = list(read_rows(path))
    assert [(row.place, row.value is None) for row in rows] == [("row 1", False), ("row 2", True), ("row 3", False)]
    assert "larger than" in rows[1].problem
