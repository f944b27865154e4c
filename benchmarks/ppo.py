"""Our PPO and TRL's GRPOTrainer on the same model, problems and batch: rollouts and tokens per CPU second.

    python -m benchmarks.ppo [--steps 6] [--prompts 24] [--rollouts 4]

GRPO trains no critic. Its KL to a reference is on, as in ours. One thread; CPU time, so that a busy machine
changes the figures little. The budget: at least 2.2 times the rollouts per second.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.bases import MINI_PROBLEMS
from pipelines.folder import StageFolder
from pipelines.records import Rollout
from pipelines.run import prepare, run_stage
from pipelines.streams import read_rollouts
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import CountdownTask

PROBLEMS: dict[str, Any] = MINI_PROBLEMS | {"train": 200, "test": 20}
BASE: dict[str, Any] = {"pretraining": {"steps": 120, "documents": 2, "worksheets": 1, "text_tokens": 60}}
DATA: dict[str, Any] = {"condition": "backtracking_verification", "style": "plain", "n": 200, "failed_attempts": [0, 6]}
PRIME: dict[str, Any] = {"epochs": 4, "batch_size": 32, "learning_rate": 2e-3, "max_tokens": 256}


def clock(given: argparse.Namespace) -> float:
    """CPU seconds of this process, or on a GPU the wall clock once the GPU has done what it was told."""
    if given.device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def base_config(given: argparse.Namespace) -> dict[str, Any]:
    """The base model: a few seconds of pretraining, of the shape asked for."""
    shape = {
        "hidden_size": given.hidden,
        "layers": given.layers,
        "heads": max(2, given.hidden // 64),
        "intermediate_size": 3 * given.hidden,
        "max_positions": max(256, given.new_tokens + 64),
    }
    return {**BASE, "architecture": shape, "device": given.device}


def stage(kind: str, config: dict[str, Any], out: Path, inputs: list[Path]) -> Path:
    """Runs a stage alone; returns its folder."""
    run_stage(prepare(kind, config, out, inputs, base=out.parent))
    return out


def ours(given: argparse.Namespace, root: Path, problems: Path, model: Path) -> tuple[float, list[Rollout]]:
    """CPU seconds and rollouts of our PPO, without reading the model."""
    from pipelines.training.stages.ppo import PPOLoop

    config = {
        "steps": given.steps,
        "prompts": given.prompts,
        "rollouts": given.rollouts,
        "sampling": {"max_new_tokens": given.new_tokens},
        "device": given.device,
        "mini_batch": given.prompts * given.rollouts // 2,
        "evaluation": {"every": 0},
        "behaviors": False,
        "checkpoint_every": given.steps,
        "actor": {"learning_rate": 1e-4},
    }
    spent = 0.0
    run = PPOLoop.run

    def timed(self: PPOLoop) -> None:
        nonlocal spent
        began = clock(given)
        run(self)
        spent = clock(given) - began

    PPOLoop.run = timed  # type: ignore[method-assign]
    folder = stage("ppo", config, root / "ppo", [problems, model])
    return spent, list(read_rollouts(folder))


def trl(
    given: argparse.Namespace, root: Path, task: CountdownTask, train: list[Problem], model: Path
) -> tuple[float, int, int]:
    """CPU seconds, rollouts and generated tokens of GRPOTrainer."""
    import datasets
    from transformers.trainer_callback import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    from pipelines.tokenizer import load_tokenizer
    from pipelines.training.core.model import load_model

    datasets.disable_progress_bars()
    by_id = {problem.id: problem for problem in train}
    tokenizer = load_tokenizer(model / "artifacts" / "model")
    counted = [0, 0]

    def reward(completions: list[str], problem_id: list[str], completion_ids: list[Any], **rest: Any) -> list[float]:
        counted[0] += len(completions)
        counted[1] += sum(len(ids) for ids in completion_ids)
        pairs = zip(completions, problem_id, strict=True)
        return [task.score(completion, by_id[each]).reward for completion, each in pairs]

    batch = given.prompts * given.rollouts
    micro = batch // 2 if given.device == "cpu" else min(32, batch // 2)
    trainer = GRPOTrainer(
        model=load_model(model / "artifacts" / "model"),
        reward_funcs=reward,
        train_dataset=datasets.Dataset.from_list(
            [{"prompt": task.prompt(problem), "problem_id": problem.id} for problem in train]
        ),
        processing_class=tokenizer,
        args=GRPOConfig(
            output_dir=str(root / "grpo"),
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=batch // 2 // micro,
            generation_batch_size=batch,
            num_generations=given.rollouts,
            max_completion_length=given.new_tokens,
            max_steps=2 * given.steps,  # an optimizer step each; two a batch of rollouts, as in ours
            beta=0.001,
            temperature=1.0,
            learning_rate=1e-4,
            gradient_checkpointing=False,
            use_cpu=given.device == "cpu",
            bf16=given.device == "cuda",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
    )
    trainer.remove_callback(PrinterCallback)
    began = clock(given)
    trainer.train()
    return clock(given) - began, counted[0], counted[1]


def main() -> None:
    """Prints the figures of both and their ratio."""
    from pipelines.tasks.countdown.task import load_countdown
    from pipelines.training.core.metrics import read_metrics

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--rollouts", type=int, default=4)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        problems = stage("problems", PROBLEMS, root / "problems", [])
        base = stage("base", base_config(given), root / "base", [problems])
        data = stage("priming_data", DATA, root / "data", [problems])
        model = stage("prime", PRIME, root / "prime", [base, data])
        loaded = load_countdown(StageFolder(problems))
        spent, rollouts = ours(given, root, problems, model)
        tokens = sum(rollout.n_tokens for rollout in rollouts)
        speed = read_metrics(StageFolder(root / "ppo"), "speed")
        other, n, other_tokens = trl(given, root, loaded.task, loaded.train, model)
    unit = "CPU s" if given.device == "cpu" else "s"
    print(f"ours, PPO with a critic: {len(rollouts)} rollouts, {tokens} tokens, {spent:.1f} {unit}")
    print(f"TRL's GRPOTrainer:       {n} rollouts, {other_tokens} tokens, {other:.1f} {unit}")
    print(f"rollouts / {unit}: {len(rollouts) / spent:.1f} against {n / other:.1f}")
    print(f"tokens / {unit}:   {tokens / spent:,.0f} against {other_tokens / other:,.0f}")
    for name in ("generated_tokens_per_s", "trained_tokens_per_s"):
        print(f"ours, {name}: {statistics.median(each[name] for each in speed.values()):,.0f} (wall time, median)")
    if given.device == "cuda":
        print(f"peak of GPU memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB, of whichever took more")
    print(f"ratio in rollouts: {len(rollouts) / spent / (n / other):.2f} (budget: at least 2.2)")


if __name__ == "__main__":
    main()
