"""A second user of the machine, for tests of what such a user can do; needs root, who may become anybody."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

OTHER_UID = 61234
"""A number that no account has; the kernel needs no more."""

needs_second_user = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as a second user")


def as_other(act: Callable[[], object]) -> bool:
    """Run a function in a child process as another user; return whether it raised nothing."""
    child = _fork(act)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@contextlib.contextmanager
def other_process(act: Callable[[], object]) -> Iterator[int]:
    """Run a function as another user while the block runs; it must not end by itself."""
    child = _fork(act)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _fork(act: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setgroups([])
        os.setgid(OTHER_UID)
        os.setuid(OTHER_UID)
        act()
        code = 0
    finally:
        os._exit(code)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everybody may write to, like /var/tmp."""
    place = Path(tempfile.mkdtemp(prefix="cogtui-shared-"))
    place.chmod(0o1777)
    yield place
    shutil.rmtree(place, ignore_errors=True)
