"""The configs: light, checked, the published settings by default."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from pipelines.stages import content_key
from pipelines.training.core.configs import ArchitectureConfig, BaseConfig, PPOConfig, PrimeConfig, SampleConfig


def test_ppo_defaults_are_the_published_run() -> None:
    config = PPOConfig()
    published = {
        "steps": 250,
        "prompts": 256,
        "rollouts": 4,
        "max_prompt_tokens": 256,
        "epochs": 1,
        "mini_batch": 128,
        "gamma": 1.0,
        "lam": 1.0,
        "clip": 0.2,
        "value_clip": 0.5,
        "kl": 0.001,
        "entropy": 0.001,
        "max_grad_norm": 1.0,
        "whiten": True,
    }
    assert {name: getattr(config, name) for name in published} == published
    assert (config.actor.learning_rate, config.critic.learning_rate) == (1e-6, 1e-5)
    assert (config.sampling.max_new_tokens, config.sampling.temperature, config.sampling.top_p) == (1024, 1.0, 1.0)
    assert config.evaluation.every == 10
    assert (PrimeConfig().epochs, PrimeConfig().batch_size) == (5, 64)


@pytest.mark.parametrize("model", [BaseConfig, PrimeConfig, PPOConfig, SampleConfig])
def test_every_field_says_what_it_is(model: type[BaseConfig]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_what_never_changes_a_result_is_outside_the_key() -> None:
    plain = content_key("ppo", PPOConfig(), [])
    assert content_key("ppo", PPOConfig(checkpoint_every=7, keep_checkpoints=9), []) == plain
    assert content_key("ppo", PPOConfig(seed=1), []) != plain


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"hidden_size": 65, "heads": 2}, "does not divide into 2 heads of even width"),
        ({"hidden_size": 6, "heads": 2}, "does not divide into 2 heads of even width"),
        ({"heads": 4, "kv_heads": 3}, "heads 4 is not a multiple of kv_heads 3"),
        ({"layers": 0}, "greater than or equal to 1"),
        ({"layer": 2}, "Extra inputs"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused(fields: dict[str, int], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ArchitectureConfig.model_validate(fields)


def test_training_with_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"sampling\.temperature is 0"):
        PPOConfig.model_validate({"sampling": {"temperature": 0}})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"sharding": "fsdp"}, "sharding works with algorithm ppo only"),
        ({"rollouts": 1}, "rollouts must be at least 2"),
        ({"mini_batch": 100}, "1024 rollouts a step, mini_batch 100"),
        ({"micro_batch": 48}, "micro_batch 48"),
    ],
)
def test_what_grpo_cannot_do_is_refused_and_not_passed_over(fields: dict[str, object], said: str) -> None:
    assert PPOConfig.model_validate({"algorithm": "grpo"}).algorithm == "grpo"
    with pytest.raises(ValidationError, match=said):
        PPOConfig.model_validate({"algorithm": "grpo"} | fields)


def test_configs_import_nothing_heavy() -> None:
    probe = (
        "import sys, pipelines.training.core.configs;assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", probe], check=True)
