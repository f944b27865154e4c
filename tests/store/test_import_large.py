"""Imports of files larger than the memory allowed, of files that grow, and of folders with many layouts."""

import gzip
import json
import random
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from cogtui.cli.rollouts.import_ import finish
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.run import run_import
from jobs.workspace import Workspace
from pipelines.streams import read_rollouts
from tests.store.benchmark_rows import LIGHTEVAL, OPENCOMPASS, SWE, TAU
from tests.store.test_import_evaluations import ATIF, GYM_RESULT, HELM_STATE, LM_EVAL, VERIFIERS, log, write

ROWS = 1_500
HEADROOM = 160 << 20
_PROGRAM = f"""
    import resource, sys
    from pathlib import Path
    from cogtui.store.importing.plan import plan_import
    from cogtui.store.importing.run import run_import
    from jobs.workspace import Workspace
    used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize"))
    resource.setrlimit(resource.RLIMIT_AS, (used + {HEADROOM}, used + {HEADROOM}))
    for state in run_import(plan_import([Path(sys.argv[1])]), Workspace(Path(sys.argv[2]))):
        pass
    print(state.rows, state.bad)
"""


def stream_of(path: Path, *, packed: bool) -> Path:
    """A file of 200 MB."""
    generator = random.Random(5)
    text = "".join(generator.choices("abcdefgh 0123456789\n", k=130_000))
    with gzip.open(path, "wb", compresslevel=1) if packed else path.open("wb") as stream:
        for number in range(ROWS):
            start = generator.randrange(1000)
            row = {"prompt": f"question {number}", "completion": text[start:] + str(number), "step": number}
            stream.write(json.dumps(row).encode() + b"\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, packed: bool) -> None:
    path = stream_of(tmp_path / ("rows.jsonl.gz" if packed else "rows.jsonl"), packed=packed)
    assert packed or path.stat().st_size > HEADROOM
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_PROGRAM), str(path), str(tmp_path / "workspace")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == f"{ROWS} 0\n", done.stderr


def test_a_file_that_grows_while_it_is_read(tmp_path: Path) -> None:
    """Rows are read once each, also where one is half written when its end is reached."""
    path, workspace = tmp_path / "rows.jsonl", Workspace(tmp_path / "workspace")
    lines = [json.dumps({"prompt": f"question {number}", "completion": "6 + 7 = 13"}) + "\n" for number in range(3_000)]
    path.write_text("".join(lines[:1000]))
    plan = plan_import([path])

    def grow() -> None:
        with path.open("a") as stream:
            for line in lines[1000:]:
                stream.write(line[:20])
                stream.flush()
                stream.write(line[20:])
                stream.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    first = finish(run_import(plan, workspace))
    writer.join()
    assert 1000 <= first.rows <= 3000
    assert first.bad <= 1
    last = finish(run_import(plan, workspace))
    assert (last.rows, last.bad) == (3000, 0)
    written = [rollout.prompt for rollout in read_rollouts(workspace.folder(plan.key).path)]
    assert written == [f"question {number}" for number in range(3_000)]


def test_a_folder_of_many_layouts(tmp_path: Path) -> None:
    layouts: dict[str, Any] = {
        "a/samples_sums.jsonl": [LM_EVAL], "a/results.jsonl": [VERIFIERS], "b/log.json": log({"id": 1, "messages": []}),
        "b/gym.json": {"name": "sums", "results": [GYM_RESULT]},
        "c/scenario_state.json": {"request_states": [HELM_STATE]},
        "d/agent/trajectory.json": ATIF, "e/run.traj.json": SWE, "e/tau.json": [TAU], "f/gsm8k.json": OPENCOMPASS,
        "f/details.jsonl": [LIGHTEVAL], "g/plain.jsonl": [{"question": "6 + 7?", "response": "13"}],
        "g/chat.jsonl": [{"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "13"}]}],
        "h/config.json": {"model": "m", "layers": 3},
    }  # fmt: skip
    for name, content in layouts.items():
        write(tmp_path / "runs" / name, content)
    (tmp_path / "runs" / "h" / "broken.json").write_text("{")
    (tmp_path / "runs" / "h" / "model.parquet").write_bytes(b"\\x93NUMPY")
    plan = plan_import([tmp_path / "runs"])
    formats = {str(file.place.relative_to(tmp_path / "runs")): file.format for file in plan.files}
    assert formats == {
        "a/results.jsonl": "verifiers", "a/samples_sums.jsonl": "lm-eval", "b/gym.json": "reasoning-gym",
        "b/log.json": "inspect", "c/scenario_state.json": "helm", "d/agent/trajectory.json": "atif",
        "e/run.traj.json": "swe-agent", "e/tau.json": "tau-bench", "f/details.jsonl": "lighteval",
        "f/gsm8k.json": "opencompass", "g/chat.jsonl": "chat", "g/plain.jsonl": "plain",
    }  # fmt: skip
    assert {each.path.name for each in plan.left_out} == {"broken.json", "config.json", "model.parquet"}
    state = finish(run_import(plan, Workspace(tmp_path / "workspace")))
    assert {Path(file.path).name: file.bad for file in state.files if file.bad} == {"log.json": 1}
    assert state.rows == sum(file.rows for file in state.files) == 15
