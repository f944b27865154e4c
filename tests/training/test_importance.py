"""The mismatch of sampler and trainer, and the weights that correct for it."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from pipelines.training.core.configs import PPOConfig
from pipelines.training.ppo.batch import RolloutBatch
from pipelines.training.ppo.importance import importance_weights, log_ratios, sampler_metrics
from pipelines.training.ppo.losses import policy_loss
from tests.training.helpers import PAD, tiny_model, trainer_of
from tests.training.test_batch import ROWS

pytestmark = pytest.mark.train
VLLM: dict[str, Any] = {"engine": {"name": "vllm"}}


def test_ratios_are_those_of_the_tokens_and_nothing_is_made_of_missing_numbers() -> None:
    mask = torch.tensor([[True, True, False], [True, True, True]])
    trained = torch.tensor([[-1.0, -2.0, 9.0], [-1.0, -1.0, -1.0]])
    sampled = torch.tensor([[-2.0, -1.0, -9.0], [-1.0, math.nan, -math.inf]])
    assert log_ratios(trained, sampled, mask).tolist() == [[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]


def test_weights_are_truncated_by_token_or_by_completion() -> None:
    ratios = torch.tensor([[1.0, -1.0, 0.5], [0.1, 0.2, 0.0]])
    tokens = importance_weights(ratios, "token", 2.0)
    assert torch.allclose(tokens, torch.tensor([[2.0, math.exp(-1), math.exp(0.5)], [math.exp(0.1), math.exp(0.2), 1]]))
    whole = importance_weights(ratios, "sequence", 1.5)
    assert torch.allclose(whole, torch.tensor([[1.5] * 3, [math.exp(0.3)] * 3]))
    assert importance_weights(torch.full((1, 900), 1.0), "sequence", 2.0).max() == 2, "exp(900) is capped, not infinite"


def test_the_metrics_are_the_divergence_of_two_distributions() -> None:
    """By enumeration: the mean of k3 over the sampler's tokens is its KL to the trainer."""
    sampler, trainer = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.6, 0.3])
    counts = [5, 3, 2]
    ratios = torch.cat([(trainer[index] / sampler[index]).log().repeat(n) for index, n in enumerate(counts)])[None]
    found = sampler_metrics(ratios, torch.ones_like(ratios, dtype=torch.bool), "token", 1.4)
    exact = float((sampler * (sampler / trainer).log()).sum())
    assert found["sampler_kl"] == pytest.approx(exact, rel=1e-5)
    assert found["sampler_ratio_max"] == pytest.approx(2.0)
    assert found["sampler_beyond_cap"] == pytest.approx(0.5)
    assert found["sampler_log_ratio_max"] == pytest.approx(math.log(5))


def test_a_weighted_loss_is_an_expectation_over_the_trainers_policy() -> None:
    """Without truncation: E over the sampler of weight × gradient is the gradient under the trainer's policy."""
    logits = torch.tensor([0.3, -0.2, 0.9], requires_grad=True)
    advantages = torch.tensor([1.0, -2.0, 0.5])
    old = torch.log_softmax(logits.detach(), -1)
    sampler = torch.tensor([0.2, 0.5, 0.3])

    def gradient(of: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        """The expected gradient where tokens are drawn with these probabilities."""
        total = torch.zeros(3)
        for token in range(3):
            log_prob = torch.log_softmax(logits, -1)[token : token + 1]
            weight = None if weights is None else weights[token : token + 1]
            loss = policy_loss(
                log_prob, old[token : token + 1], advantages[token : token + 1], torch.zeros(1), clip=0.2, bonus=0,
                weights=weight,
            )  # fmt: skip
            total += of[token] * torch.autograd.grad(loss.loss, logits)[0]
        return total

    ratios = log_ratios(old[None], sampler.log()[None], torch.ones(1, 3, dtype=torch.bool))
    weights = importance_weights(ratios, "token", 99)
    assert torch.allclose(gradient(sampler, weights[0]), gradient(old.exp(), None), atol=1e-6)
    assert not torch.allclose(gradient(sampler, None), gradient(old.exp(), None), atol=1e-2)


def batch(shift: float) -> RolloutBatch:
    """A batch whose sampler gave each token exp(shift) times the trainer's probability."""
    plain = RolloutBatch.from_rollouts(ROWS, PAD)
    known = trainer_of(tiny_model()).estimate(plain, 0).log_probs
    return replace(plain, sampler_log_probs=known + shift)


def moved(trainer: Any, rollouts: RolloutBatch) -> tuple[torch.Tensor, dict[str, float]]:
    """How an update without the entropy bonus moved the policy, by plain gradients, and its metrics."""
    trainer.actor.optimizer = torch.optim.SGD(trainer.policy.parameters(), lr=1.0)
    before = torch.cat([each.detach().flatten().clone() for each in trainer.policy.parameters()])
    metrics = trainer.update(rollouts, 0)
    return torch.cat([each.detach().flatten() for each in trainer.policy.parameters()]) - before, metrics


def test_an_update_logs_the_mismatch_and_weights_its_gradient() -> None:
    fields: dict[str, Any] = {"entropy": 0, "kl": 0, "max_grad_norm": 1e9, "mini_batch": 99} | VLLM
    rollouts = batch(-math.log(1.5))
    uncorrected, _ = moved(trainer_of(tiny_model(), **fields, importance_sampling={"level": "none"}), rollouts)
    corrected, metrics = moved(trainer_of(tiny_model(), **fields), rollouts)
    assert torch.allclose(corrected, 1.5 * uncorrected, rtol=1e-3, atol=1e-6)
    assert metrics["sampler_ratio_max"] == pytest.approx(1.5, rel=1e-4)
    assert metrics["sampler_kl"] == pytest.approx(0.5 - math.log(1.5), rel=1e-4)
    assert metrics["sampler_beyond_cap"] == 0
    capped, metrics = moved(trainer_of(tiny_model(), **fields, importance_sampling={"cap": 1.2}), rollouts)
    assert torch.allclose(capped, 1.2 * uncorrected, rtol=1e-3, atol=1e-6)
    assert metrics["sampler_beyond_cap"] == 1


def test_an_engine_without_log_probabilities_has_no_such_metrics() -> None:
    metrics = trainer_of(tiny_model()).update(RolloutBatch.from_rollouts(ROWS, PAD), 0)
    assert not any(name.startswith("sampler") for name in metrics)


def test_the_correction_is_on_for_vllm_alone_and_no_key_changed() -> None:
    assert PPOConfig.model_validate(VLLM).importance_level() == "token"
    assert PPOConfig().importance_level() == "none"
    for fields in ({}, VLLM):
        assert "importance_sampling" not in PPOConfig.model_validate(fields).key_fields()
    off = PPOConfig.model_validate(VLLM | {"importance_sampling": {"level": "none"}})
    assert "importance_sampling" in off.key_fields()
    with pytest.raises(ValidationError, match=r"needs the log-probabilities that engine vllm returns"):
        PPOConfig.model_validate({"importance_sampling": {"level": "sequence"}})
