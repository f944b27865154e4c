"""PPO's losses against loops over single tokens."""

import math
from collections.abc import Sequence

import pytest
import torch

from pipelines.training.ppo.losses import policy_loss, value_loss

pytestmark = pytest.mark.train

OLD = [-1.0, -1.0, -1.0, -1.0, -2.0]
NEW = [-1.0, -0.5, -0.5, -1.6, -2.9]
ADVANTAGES = [2.0, 1.0, -1.0, -3.0, 0.5]


def test_the_surrogate_is_the_smaller_of_plain_and_clipped() -> None:
    entropy = torch.tensor([0.3, 0.1, 0.2, 0.5, 0.4])
    found = policy_loss(torch.tensor(NEW), torch.tensor(OLD), torch.tensor(ADVANTAGES), entropy, clip=0.2, bonus=0.01)
    surrogate, clipped = 0.0, 0
    for new, old, advantage in zip(NEW, OLD, ADVANTAGES, strict=True):
        ratio = math.exp(new - old)
        plain, bounded = ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage
        surrogate += min(plain, bounded)
        clipped += bounded < plain
    assert float(found.loss) == pytest.approx(-surrogate - 0.01 * float(entropy.sum()), abs=1e-6)
    assert int(found.clipped) == clipped == 2


OLD_POLICY, NEW_POLICY = (0.5, 0.3, 0.2), (0.1, 0.3, 0.6)


def exact_kl(p: Sequence[float], q: Sequence[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def mean_divergence(tokens: torch.Tensor) -> float:
    old, new = torch.tensor(OLD_POLICY).log(), torch.tensor(NEW_POLICY).log()
    zeros = torch.zeros(len(tokens))
    return float(policy_loss(new[tokens], old[tokens], zeros, zeros, clip=0.2, bonus=0.0).divergence) / len(tokens)


def test_the_divergence_is_the_kl_from_the_policy_that_sampled_the_tokens() -> None:
    # Each token as often as the old policy gives it on average, so the mean is the exact expectation.
    tokens = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    kl = exact_kl(OLD_POLICY, NEW_POLICY)
    assert kl == pytest.approx(0.58500, abs=1e-5)
    assert exact_kl(NEW_POLICY, OLD_POLICY) == pytest.approx(0.49823, abs=1e-5), "the other direction differs"
    assert mean_divergence(tokens) == pytest.approx(kl, abs=1e-6)


def test_the_divergence_of_sampled_tokens_converges_to_the_kl() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.multinomial(torch.tensor(OLD_POLICY), 200_000, replacement=True, generator=generator)
    assert mean_divergence(tokens) == pytest.approx(exact_kl(OLD_POLICY, NEW_POLICY), abs=0.01)


def test_a_clipped_token_has_no_gradient_and_an_unclipped_one_that_of_the_ratio() -> None:
    new = torch.tensor(NEW, requires_grad=True)
    policy_loss(new, torch.tensor(OLD), torch.tensor(ADVANTAGES), torch.zeros(5), clip=0.2, bonus=0.0).loss.backward()
    assert new.grad is not None
    ratios = [math.exp(a - b) for a, b in zip(NEW, OLD, strict=True)]
    # Token 1 went up with a positive advantage, token 3 down with a negative one: both beyond the clip.
    expected = [-ratios[0] * 2.0, 0.0, ratios[2], 0.0, -ratios[4] * 0.5]
    assert new.grad.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_value_loss_is_the_worse_of_plain_and_clipped() -> None:
    values, old, returns = [1.0, 2.0, -1.0], [0.0, 1.9, 0.0], [2.0, 0.0, 1.0]
    loss, clipped = value_loss(torch.tensor(values), torch.tensor(old), torch.tensor(returns), clip=0.5)
    expected, count = 0.0, 0
    for value, before, target in zip(values, old, returns, strict=True):
        near = before + min(max(value - before, -0.5), 0.5)
        expected += 0.5 * max((value - target) ** 2, (near - target) ** 2)
        count += (near - target) ** 2 > (value - target) ** 2
    assert float(loss) == pytest.approx(expected)
    assert int(clipped) == count == 1


def test_value_clipping_can_be_off() -> None:
    loss, clipped = value_loss(torch.tensor([3.0]), torch.tensor([0.0]), torch.tensor([1.0]), clip=0)
    assert (float(loss), int(clipped)) == (2.0, 0)


def test_sums_over_parts_are_the_sum_over_the_whole() -> None:
    new, old, advantages = (torch.tensor(each) for each in (NEW, OLD, ADVANTAGES))
    spread = torch.rand(5, generator=torch.Generator().manual_seed(0))
    whole = policy_loss(new, old, advantages, spread, clip=0.2, bonus=0.1).loss
    parts = [
        policy_loss(new[part], old[part], advantages[part], spread[part], clip=0.2, bonus=0.1).loss
        for part in (slice(0, 2), slice(2, 5))
    ]
    assert float(whole) == pytest.approx(float(sum(parts)), abs=1e-6)
