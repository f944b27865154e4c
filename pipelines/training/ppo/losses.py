"""PPO's policy and value losses, as sums over valid tokens so that a mini-batch may be split into any micro-batches."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """Sums over the tokens of a micro-batch; the caller divides by the number of tokens of the mini-batch."""

    loss: Tensor
    """Loss to minimise: the negative surrogate minus the entropy bonus."""
    clipped: Tensor
    """Number of tokens on which the clipped branch was the smaller one."""
    divergence: Tensor
    """k3 estimates of KL(old policy || new policy) in nats; the old policy is the one that sampled the tokens."""


def policy_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    entropy: Tensor,
    *,
    clip: float,
    bonus: float,
    weights: Tensor | None = None,
) -> PolicyLoss:
    """Compute the clipped surrogate (Schulman et al. 2017, eq. 7) with an entropy bonus.

    Args:
        log_probs: log-probabilities of the tokens under the policy in training, (n,).
        old_log_probs: log-probabilities under the policy that sampled the tokens, (n,).
        advantages: (n,), constants.
        entropy: entropies of the policy's distribution at each token, (n,), nats.
        clip: the probability ratio is clipped to 1 ± this.
        bonus: coefficient of the entropy.
        weights: importance weights of the surrogate, (n,), constants; None weights all tokens alike.
    """
    log_ratio = log_probs - old_log_probs
    ratio = log_ratio.exp()
    unclipped = ratio * advantages
    bounded = ratio.clamp(1 - clip, 1 + clip) * advantages
    surrogate = torch.minimum(unclipped, bounded)
    if weights is not None:
        surrogate = surrogate * weights
    with torch.no_grad():
        clipped = (bounded < unclipped).sum()
        # The tokens come from the old policy, so KL(old || new) is the mean of r - 1 - log r with r = new / old
        # (k3 of Schulman 2020, http://joschu.net/blog/kl-approx.html). expm1 keeps precision where r is close to 1.
        divergence = (torch.expm1(log_ratio) - log_ratio).sum()
    return PolicyLoss(-surrogate.sum() - bonus * entropy.sum(), clipped, divergence)


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, *, clip: float) -> tuple[Tensor, Tensor]:
    """Compute half the squared error, the larger of the unclipped and the clipped one (as in OpenAI Baselines).

    Args:
        values: values of the critic in training, (n,).
        old_values: values at the time of sampling, (n,).
        returns: regression targets, (n,).
        clip: values are clipped to the old values ± this; 0 turns clipping off.

    Returns:
        Sum of the loss, and the number of tokens on which the clipped branch was the larger one.
    """
    unclipped = (values - returns).square()
    if clip == 0:
        return 0.5 * unclipped.sum(), torch.zeros((), device=values.device)
    bounded = old_values + (values - old_values).clamp(-clip, clip)
    clipped = (bounded - returns).square()
    return 0.5 * torch.maximum(unclipped, clipped).sum(), (clipped > unclipped).sum()
