"""The GPU environment as doctor sees it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.doctor import gpu as doctor_gpu
from jobs.doctor.checks import _interpreter
from jobs.doctor.gpu import LOCK, PROBE, check_versions, read_probe

ROOT = Path(__file__).parents[2]


def test_its_versions_are_those_of_the_lock() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==([\w.+-]+)$", (ROOT / "requirements-gpu.txt").read_text(), flags=re.MULTILINE))
    assert {name: pins[name] for name in LOCK} == LOCK
    # Everything the core needs is in it too: a stage imports cogtui in that environment.
    assert {"pydantic", "submitit", "textual", "nvidia-ml-py"} <= {name.lower() for name in pins}


def test_a_python_says_what_it_has() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    version, packages = read_probe(done.stdout)
    assert version == sys.version.split()[0]
    assert packages.keys() == LOCK.keys()


@pytest.mark.parametrize(
    ("change", "status", "said", "degrades"),
    [
        ({}, "ok", "vllm 0.31.0", ""),
        ({"torch": "2.13.0+cu130"}, "ok", "torch 2.13.0+cu130", ""),
        ({"vllm": "0.33.0"}, "ok", "vllm 0.31.0 in requirements-gpu.txt", ""),
        ({"vllm": None}, "missing", "not installed: vllm", "engine vllm"),
        ({"trl": None, "accelerate": None}, "missing", "not installed: trl, accelerate", "grpo"),
    ],
)
def test_what_is_missing_or_other_is_named(
    change: dict[str, str | None], status: str, said: str, degrades: str
) -> None:
    found = check_versions({**LOCK, **change})
    assert found[0] == status
    assert said in found[1]
    assert degrades in found[2]
    assert "requirements-gpu" not in found[1] or "0.33" in found[1]


def test_doctor_tells_of_an_interpreter_and_of_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    first, second = _interpreter(sys.executable)
    assert (first.area, first.status) == ("interpreters", "ok")
    assert second.area == "GPU environment"
    monkeypatch.setattr(doctor_gpu, "PROBE", "print('Hello')")
    (only,) = _interpreter(sys.executable)
    assert only.status == "problem"
