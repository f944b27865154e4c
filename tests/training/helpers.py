"""Small models, batches and stage folders for the training tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipelines.files import write_json
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.tasks.countdown.problems import make_problem, write_problems
from pipelines.tasks.countdown.rules import Arithmetic
from pipelines.tasks.countdown.task import CountdownTask, shipped_template
from pipelines.tasks.loading import TASK_FILE, TEST_FILE, TRAIN_FILE
from pipelines.training.core.configs import OptimizerConfig, PPOConfig
from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.core.runtime import Runtime
from pipelines.training.ppo.networks import PolicyNetwork, ValueNetwork, freeze_copy
from pipelines.training.ppo.trainer import OptimizedNetwork, PPOTrainer
from pipelines.training.rl.ranks import SingleProcess

CPU = Runtime(torch.device("cpu"), torch.float32)
PAD, EOS = 0, 1


class TinyTokenizer:
    """Just what engines ask of a tokenizer."""

    pad_token_id = PAD
    eos_token_id = EOS


def tiny_model(vocabulary: int = 12, *, layers: int = 2, hidden: int = 16, seed: int = 0) -> Any:
    """A random Llama, in evaluation mode."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    return LlamaForCausalLM(config).eval()


def trainer_of(model: Any, **fields: Any) -> PPOTrainer:
    """A PPO trainer on the CPU; fields as in PPOConfig."""
    fields = {
        "actor": OptimizerConfig(learning_rate=1e-2, weight_decay=0),
        "critic": OptimizerConfig(learning_rate=1e-2, weight_decay=0),
        "sampling": SamplingConfig(max_new_tokens=4),
        **fields,
    }
    config = PPOConfig.model_validate(fields)
    policy = PolicyNetwork(model)
    return PPOTrainer(
        config,
        actor=OptimizedNetwork(policy, config.actor, config.max_grad_norm),
        critic=OptimizedNetwork(ValueNetwork(model), config.critic, config.max_grad_norm),
        reference=freeze_copy(policy) if config.kl else None,
        runtime=CPU,
        ranks=SingleProcess(),
    )


def problems_folder(path: Path, *, train: int = 6, test: int = 2) -> Path:
    """A finished `problems` stage: two numbers from 1 to 4, plus and minus."""
    pairs = [(a, b) for a in range(1, 5) for b in range(1, 5) if a != b]
    problems = [make_problem(pair, sum(pair)) for pair in pairs if pair[0] < pair[1]]
    problems += [make_problem((b, a), b - a) for a, b in pairs if a < b]
    arithmetic = Arithmetic(operations="+-", minimum=0, maximum=8, integers_only=True)
    artifacts = path / "artifacts"
    artifacts.mkdir(parents=True)
    write_problems(artifacts / TRAIN_FILE, problems[:train])
    write_problems(artifacts / TEST_FILE, problems[-test:])
    task = CountdownTask(arithmetic=arithmetic, template=shipped_template("mini"))
    write_json(artifacts / TASK_FILE, task.model_dump(mode="json"))
    write_json(path / "stage.json", {"kind": "problems", "key": "problems-000000000000", "config": {}})
    write_json(path / "result.json", {"train": train, "test": test})
    return path


def run_alone(kind: str, config: dict[str, Any], out: Path, inputs: Sequence[Path]) -> StageFolder:
    """Runs a stage, or goes on with it, in this process."""
    folder = prepare(kind, config, out, inputs, base=out.parent)
    run_stage(folder)
    return folder


BASE: dict[str, Any] = {
    "architecture": {"layers": 1, "hidden_size": 32, "intermediate_size": 64, "max_positions": 96},
    "pretraining": {"steps": 60, "linear": 16, "documents": 2, "worksheets": 1, "text_tokens": 24, "warmup": 0.0},
}
"""A base model in two seconds: it answers in the right form most of the time."""

PPO: dict[str, Any] = {
    "steps": 4,
    "prompts": 6,
    "rollouts": 2,
    "sampling": {"max_new_tokens": 24},
    "mini_batch": 6,
    "critic_warmup_steps": 1,
    "actor": {"learning_rate": 1e-3},
    "critic": {"learning_rate": 1e-3},
    "evaluation": {"every": 2, "samples": 2},
    "checkpoint_every": 2,
}
