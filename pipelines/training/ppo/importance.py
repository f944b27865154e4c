"""How far the sampler is from the policy it samples for, and weights that correct for it.

An engine with kernels or a number type of its own samples from another distribution than the trainer computes, though
both hold the same weights. Truncated importance sampling weights each token's loss by the ratio of both probabilities,
at most a cap: Ionides 2008 (Journal of Computational and Graphical Statistics 17), for language models Yao et al. 2025
(https://fengyao.notion.site/off-policy-rl).
"""

from typing import Literal

import torch
from torch import Tensor


def log_ratios(trained: Tensor, sampled: Tensor, mask: Tensor) -> Tensor:
    """Return log p_trainer - log p_sampler of the tokens, zero where there is none and where the engine gave no number.

    Args:
        trained: log-probabilities by the trainer, (rollouts, tokens).
        sampled: log-probabilities by the engine, (rollouts, tokens).
        mask: valid tokens.
    """
    found = trained - sampled
    return torch.where(mask & found.isfinite(), found, 0.0)


def importance_weights(ratios: Tensor, level: Literal["token", "sequence"], cap: float) -> Tensor:
    """Return the weight of each token, (rollouts, tokens).

    Args:
        ratios: as `log_ratios` returns, (rollouts, tokens).
        level: `token` takes each token's own ratio, `sequence` the product over its completion.
        cap: largest weight.
    """
    logs = ratios if level == "token" else ratios.sum(dim=1, keepdim=True).expand_as(ratios)
    return logs.exp().clamp(max=cap)


def sampler_metrics(ratios: Tensor, mask: Tensor, level: Literal["token", "sequence"], cap: float) -> dict[str, float]:
    """Return how far the sampler was from the trainer.

    Args:
        ratios: as `log_ratios` returns, (rollouts, tokens).
        mask: valid tokens.
        level: whose ratios `sampler_ratio_max` and `sampler_beyond_cap` are of: tokens or completions.
        cap: largest weight of a correction.

    Returns:
        `sampler_kl`: KL(sampler ‖ trainer), nats per token, k3 estimate (Schulman 2020); `sampler_log_ratio_max`: the
        largest difference of log-probabilities of a token; `sampler_ratio_max`: the largest ratio;
        `sampler_beyond_cap`: the share of ratios above the cap.
    """
    tokens = ratios[mask].double()
    compared = (tokens if level == "token" else ratios.sum(dim=1).double()).exp()
    return {
        "sampler_kl": float((torch.expm1(tokens) - tokens).mean()),
        "sampler_log_ratio_max": float(tokens.abs().max()),
        "sampler_ratio_max": float(compared.max()),
        "sampler_beyond_cap": float((compared > cap).double().mean()),
    }
