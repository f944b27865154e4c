"""Rewards per token, generalised advantage estimation, whitening: pure functions on padded tensors.

Tensors are (rollouts, tokens). Column t belongs to the t-th token of a completion; its value is that of the state
before the token. `mask` is true on generated tokens, including the end-of-sequence token.
"""

import torch
from torch import Tensor


def completion_mask(lengths: Tensor, width: int) -> Tensor:
    """Return a mask (rollouts, width), true on the first `lengths` tokens of each row."""
    return torch.arange(width, device=lengths.device) < lengths.unsqueeze(1)


def token_rewards(scores: Tensor, divergence: Tensor, mask: Tensor, kl: float) -> Tensor:
    """Return rewards per token: minus `kl` times the divergence, plus the score on the last valid token.

    Args:
        scores: rewards of the completions, (rollouts,).
        divergence: estimates of the KL to the reference per token, k1: log p - log p_ref (Schulman 2020).
        mask: valid tokens; every row has at least one.
        kl: coefficient of the divergence.
    """
    rewards = torch.where(mask, -kl * divergence, 0.0)
    rows = torch.arange(len(scores), device=scores.device)
    rewards[rows, mask.sum(dim=1) - 1] += scores
    return rewards


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Compute advantages and returns (Schulman et al. 2016, eq. 16); zero where the mask is false.

    The value after the last valid token is zero, for completions that ended and for those the token limit truncated.

    Args:
        rewards: (rollouts, tokens).
        values: of the state before each token, (rollouts, tokens).
        mask: valid tokens.
        gamma: discount per token.
        lam: lambda of the estimator.
    """
    advantages = torch.zeros_like(values)
    carried = torch.zeros_like(values[:, 0])
    following = torch.zeros_like(carried)
    for column in reversed(range(values.shape[1])):
        valid = mask[:, column]
        delta = rewards[:, column] + gamma * following - values[:, column]
        carried = torch.where(valid, delta + gamma * lam * carried, 0.0)
        following = torch.where(valid, values[:, column], 0.0)
        advantages[:, column] = carried
    returns = torch.where(mask, advantages + values, 0.0)
    return advantages, returns


def whiten(advantages: Tensor, mask: Tensor) -> Tensor:
    """Normalise advantages to zero mean and unit variance over the valid tokens; zero elsewhere."""
    valid = advantages[mask]
    if valid.numel() < 2:
        return advantages
    scale = torch.rsqrt(valid.var() + 1e-8)
    return torch.where(mask, (advantages - valid.mean()) * scale, 0.0)


def explained_variance(returns: Tensor, values: Tensor, mask: Tensor) -> float | None:
    """Return 1 - Var(returns - values) / Var(returns) over the valid tokens; None if the returns are constant."""
    target, predicted = returns[mask], values[mask]
    if target.numel() < 2:
        return None
    variance = target.var()
    if float(variance) < 1e-12:
        return None
    return float(1 - (target - predicted).var() / variance)
