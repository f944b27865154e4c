"""The library that makes a disk misbehave does what it says, to the processes and below the folder it is told."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.soak.fault_library import DiskFault, FaultLibrary, missing_tool
from tests.soak.power_loss import lose_power

pytestmark = pytest.mark.skipif(missing_tool() is not None, reason=str(missing_tool()))


class Disk:
    """A folder with the library, and programs that run in it."""

    def __init__(self, path: Path) -> None:
        self.root = path / "root"
        self.root.mkdir()
        work = path / "work"
        work.mkdir()
        self.library = FaultLibrary(work, self.root, seed=1)

    def run(self, code: str) -> str:
        """Run Python code in the folder; return what it prints, or the last line of its error."""
        environment = {**os.environ, **self.library.environment(), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-S", "-c", f"import os, time\n{code}"],
            cwd=self.root, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_without_faults_nothing_changes(disk: Disk) -> None:
    assert disk.run("open('a', 'w').write('x' * 100); print(os.path.getsize('a'))") == "100"
    assert disk.library.injected() == 0


def test_a_full_disk_takes_what_fits_and_no_more(disk: Disk) -> None:
    disk.run("open('old', 'w').write('x' * 100)")
    disk.library.set_faults(DiskFault.FULL, budget=60)
    write = "fd = os.open('old', os.O_WRONLY | os.O_APPEND)\nprint(os.write(fd, b'y' * 100))\n"
    assert disk.run(write + "os.write(fd, b'z')") == "OSError: [Errno 28] No space left on device"
    assert (disk.root / "old").stat().st_size == 160
    assert disk.run("open('new', 'w')") == "OSError: [Errno 28] No space left on device: 'new'"
    # replacing bytes, renaming and removing need no space
    assert disk.run("f = open('old', 'r+b'); f.write(b'n' * 50); f.close(); os.rename('old', 'b'); print(1)") == "1"
    assert disk.run("open('/dev/null', 'w').write('x'); print(1)") == "1"
    assert disk.library.injected() >= 2


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (DiskFault.WRITE_ERROR, "os.write(os.open('a', os.O_WRONLY), b'x')", "[Errno 5] Input/output error"),
        (DiskFault.WRITE_ERROR, "os.fsync(os.open('a', os.O_RDONLY))", "[Errno 5] Input/output error"),
        (DiskFault.READ_ERROR, "os.read(os.open('a', os.O_RDONLY), 9)", "[Errno 5] Input/output error"),
        (DiskFault.READ_ONLY, "os.open('a', os.O_WRONLY)", "[Errno 30] Read-only file system: 'a'"),
        (DiskFault.READ_ONLY, "os.unlink('a')", "[Errno 30] Read-only file system: 'a'"),
        (DiskFault.READ_ONLY, "os.mkdir('b')", "[Errno 30] Read-only file system: 'b'"),
    ],
)
def test_errors_are_given_and_end(fault: DiskFault, code: str, said: str, disk: Disk) -> None:
    (disk.root / "a").write_text("x")
    disk.library.set_faults(fault)
    assert disk.run(code) == f"OSError: {said}"
    disk.library.set_faults(DiskFault.NONE)
    assert disk.run(code + "; print('well')") == "well"


def test_short_writes_are_short_and_seeded(disk: Disk) -> None:
    disk.library.set_faults(DiskFault.SHORT)
    lengths = disk.run("fd = os.open('a', os.O_WRONLY | os.O_CREAT)\nprint([os.write(fd, b'x' * 90) for _ in 'abc'])")
    assert lengths != "[90, 90, 90]"
    assert sum(json.loads(lengths)) == (disk.root / "a").stat().st_size
    # a file object goes on until everything is written
    assert disk.run("open('b', 'w').write('x' * 5000); print(os.path.getsize('b'))") == "5000"


def test_the_wall_clock_moves_and_no_other(disk: Disk) -> None:
    disk.library.set_clock(7200.0)
    wall, steady = map(float, disk.run("print(time.time(), time.monotonic())").split())
    assert 7100 < wall - time.time() < 7300
    assert abs(steady - time.monotonic()) < 100


def test_a_loss_of_power_keeps_what_was_synced(disk: Disk) -> None:
    """By chance all else may be lost; over many chances each of it is lost once and kept once."""
    code = """
def write(name, text, sync):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, text)
    if sync:
        os.fsync(fd)
    os.close(fd)
def sync(name):
    fd = os.open(name, os.O_RDONLY); os.fsync(fd); os.close(fd)
os.mkdir('made')
write('made/safe', b'synced', True)
write('made/safe', b' not synced', False)
write('made/old', b'old', True)
write('made/gone', b'gone', True)
sync('made'); sync('.')
write('made/new', b'new', True)
os.rename('made/new', 'made/old')
os.unlink('made/gone')
write('made/loose', b'loose', False)
"""
    seen: dict[str, set[bytes | None]] = {name: set() for name in ("safe", "old", "gone", "loose")}
    for chance in range(40):
        for path in (disk.root, disk.library.shadow):
            subprocess.run(["rm", "-rf", *map(str, path.iterdir())], check=True)
        assert disk.run(code) == ""
        lose_power(disk.root, disk.library.shadow, random.Random(chance))
        for name, contents in seen.items():
            path = disk.root / "made" / name
            contents.add(path.read_bytes() if path.exists() else None)
        # all of it is on the disk now: the next loss of power changes nothing
        before = {path: path.read_bytes() for path in disk.root.rglob("*") if path.is_file()}
        lose_power(disk.root, disk.library.shadow, random.Random(chance + 1))
        assert {path: path.read_bytes() for path in disk.root.rglob("*") if path.is_file()} == before
    assert all(content is not None and content.startswith(b"synced") for content in seen["safe"])
    assert {b"synced", b"synced not synced"} < seen["safe"]
    assert seen["old"] == {b"old", b"new"}
    assert seen["gone"] == {b"gone", None}
    assert {b"", b"loose", None} <= seen["loose"]
