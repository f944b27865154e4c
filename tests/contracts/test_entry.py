"""How the program is called: by its script and as a module."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from cogtui.cli.main import run


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"cogtui {version('cogtui')}\n"


def test_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cogtui", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"cogtui {version('cogtui')}\n", "")
