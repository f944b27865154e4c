"""What the adapters expect of TRL and of transformers' private parts; a failure says what a new version changed."""

import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pipelines.tokenizer import build_tokenizer
from pipelines.training.core.configs import ArchitectureConfig
from pipelines.training.core.model import build_model, load_model
from pipelines.training.core.transformers_compat import check_trainer_checkpoint, decoder_layers, trainer_checkpoint
from pipelines.training.core.trl_compat import (
    GRPO_IMPORTANCE_LOG_NAMES,
    GRPO_LOG_NAMES,
    SFT_LOG_NAMES,
    TRL_MINOR,
    make_grpo_trainer,
    make_sft_trainer,
    pack_texts,
    rollout_output,
)

pytestmark = pytest.mark.train
ROOT = Path(__file__).parents[2]
TOKENIZER = build_tokenizer(["+", "="], [], range(10))
COMMON: dict[str, Any] = {
    "max_steps": 1,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_steps": 1,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "disable_tqdm": True,
    "report_to": "none",
}


def small_model() -> Any:
    return build_model(ArchitectureConfig(hidden_size=16, layers=2, heads=2, intermediate_size=16), TOKENIZER)


def recorder() -> Any:
    """A callback that keeps every log entry."""
    from transformers import TrainerCallback

    class Recorder(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.logs: list[dict[str, Any]] = []

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
            self.logs.append(dict(logs))

    return Recorder()


def test_the_installed_version_is_the_one_that_pyproject_pins() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (pin,) = [each for each in wanted["project"]["optional-dependencies"]["train"] if each.startswith("trl")]
    major, minor = map(int, TRL_MINOR.split("."))
    assert pin.startswith(f"trl>={TRL_MINOR},<{major}.{minor + 1}")
    assert version("trl").startswith(f"{TRL_MINOR}."), "read pipelines/training/core/trl_compat.py before raising it"


def test_sft_logs_what_we_keep_and_saves_where_we_look(tmp_path: Path) -> None:
    from datasets import Dataset

    rows = [{"input_ids": [5, 6, 7, 8], "completion_mask": [0, 0, 1, 1]}] * 4
    settings = COMMON | {"output_dir": str(tmp_path), "per_device_train_batch_size": 4, "max_length": None}
    callback = recorder()
    make_sft_trainer(small_model(), settings, Dataset.from_list(rows), TOKENIZER, callback).train()
    assert set(SFT_LOG_NAMES) <= set(callback.logs[0])
    assert "loss" not in callback.logs[-1], "the final summary is recognised by its missing loss"
    check_trainer_checkpoint(trainer_checkpoint(tmp_path, 1))


def test_grpo_takes_our_rollouts_and_rewards_and_logs_what_we_keep(tmp_path: Path) -> None:
    calls: list[list[str]] = []

    def rollouts(prompts: list[str], trainer: Any) -> dict[str, Any]:
        calls.append(prompts)
        return rollout_output([(5, 6)] * 4, [(7, 1), (8, 1), (7, 7), (8, 8)], [1.0, 0.0, 0.5, 0.25])

    rollouts.__name__ = "rollouts"
    settings = COMMON | {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 4,
        "num_generations": 2,
        "generation_batch_size": 4,
        "max_completion_length": 2,
        "beta": 0.01,
        "entropy_coef": 0.01,
    }
    small_model().save_pretrained(tmp_path / "model")  # TRL reads the reference from where the model came from
    model = load_model(tmp_path / "model")
    callback = recorder()
    make_grpo_trainer(model, settings, 2, TOKENIZER, rollouts, callback).train()
    assert [len(each) for each in calls] == [4], "one call per batch, a prompt per rollout"
    step = callback.logs[0]
    assert set(GRPO_LOG_NAMES) <= set(step)
    assert step["reward"] == pytest.approx((1 + 0 + 0.5 + 0.25) / 4), "rewards come from our field `score`"
    check_trainer_checkpoint(trainer_checkpoint(tmp_path, 1))


def test_packing_cuts_the_rows_into_blocks() -> None:
    from datasets import Dataset

    rows = [{"input_ids": [n] * 3, "completion_mask": [1] * 3} for n in range(4)]
    packed = pack_texts(Dataset.from_list(rows), 4)
    assert packed["input_ids"] == [[0, 0, 0, 1], [1, 1, 2, 2], [2, 3, 3, 3]]


def test_grpo_corrects_for_the_log_probabilities_we_give_it(tmp_path: Path) -> None:
    """TRL corrects only for a vLLM of its own; ours samples in the rollout function."""
    settings = COMMON | {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 4,
        "num_generations": 2,
        "generation_batch_size": 4,
        "max_completion_length": 2,
        "beta": 0.0,
        "learning_rate": 1e-2,
    }
    small_model().save_pretrained(tmp_path / "model")

    def trained(log_probs: float | None, importance: Any) -> Any:
        def rollouts(prompts: list[str], trainer: Any) -> dict[str, Any]:
            given = None if log_probs is None else [[log_probs] * 2] * 4
            return rollout_output([(5, 6)] * 4, [(7, 1), (8, 1), (7, 7), (8, 8)], [1.0, 0.0, 0.5, 0.25], given)

        rollouts.__name__ = "rollouts"
        callback = recorder()
        model = load_model(tmp_path / "model")
        make_grpo_trainer(model, settings, 2, TOKENIZER, rollouts, callback, importance).train()
        return callback.logs[0]

    plain = trained(None, None)
    capped = trained(-1000.0, ("token", 3.0))  # every ratio is beyond any cap
    assert capped["grad_norm"] == pytest.approx(3 * plain["grad_norm"], rel=1e-4)
    assert trained(-1000.0, ("sequence", 2.0))["grad_norm"] == pytest.approx(2 * plain["grad_norm"], rel=1e-4)
    assert set(GRPO_IMPORTANCE_LOG_NAMES) <= set(capped)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_decoder_layers_are_found_by_the_private_attribute(family: Any) -> None:
    architecture = ArchitectureConfig(family=family, hidden_size=16, layers=3, heads=2, intermediate_size=16)
    layers = list(decoder_layers(build_model(architecture, TOKENIZER)))
    assert [type(each).__name__ for each in layers] == [f"{family.capitalize()}DecoderLayer"] * 3
