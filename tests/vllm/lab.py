"""A base model that vLLM can run on a CPU, and stages in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines.folder import StageFolder
from pipelines.run import prepare
from pipelines.streams import read_rollouts
from tests.training.helpers import BASE, PPO, problems_folder, run_alone

ROOT = Path(__file__).parents[2]
SMALL = BASE | {"architecture": BASE["architecture"] | {"hidden_size": 64}}
"""vLLM's attention on a CPU knows heads of 32 and more."""
COLOCATED: dict[str, Any] = {"engine": {"name": "vllm"}}
TRAINING: dict[str, Any] = (
    PPO
    | COLOCATED
    | {
        "steps": 3,
        "prompts": 4,
        "mini_batch": 4,
        "critic_warmup_steps": 0,
        "sampling": {"max_new_tokens": 24, "temperature": 1.2},
        "evaluation": {"every": 3, "sampling": {"temperature": 0, "max_new_tokens": 20}},
    }
)
"""Three updates of a policy that vLLM samples, evaluated greedily."""


def make_inputs(root: Path) -> list[Path]:
    """A finished problems stage and a finished base stage."""
    problems = problems_folder(root / "problems")
    return [problems, run_alone("base", SMALL, root / "base", [problems]).path]


def start_stage(
    kind: str, config: dict[str, Any], out: Path, inputs: list[Path], *, processes: int = 1
) -> "subprocess.Popen[str]":
    """Start a stage as a worker does, in a process of its own or under torchrun."""
    folder = prepare(kind, config, out, inputs, base=out.parent)
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*launcher, "-m", "pipelines", "--folder", str(folder.path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_stage_alone(
    kind: str, config: dict[str, Any], out: Path, inputs: list[Path], *, processes: int = 1
) -> StageFolder:
    """Run a stage to its end, which must be clean: no traceback, not even of the interpreter's exit."""
    with start_stage(kind, config, out, inputs, processes=processes) as process:
        _, log = process.communicate(timeout=900)
    assert process.returncode == 0, log[-6000:]
    assert "Traceback" not in log, log[-6000:]
    return StageFolder(out)


def completions(folder: StageFolder, split: str, step: int) -> dict[tuple[str, int], str]:
    """The completions of a split at a step, by problem and sample."""
    return {
        (each.problem_id, each.sample): each.completion
        for each in read_rollouts(folder.path)
        if each.split == split and each.step == step
    }
