"""The update: what it changes, what it must not, and problems it has to solve."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pipelines.errors import StageFailed
from pipelines.training.core.configs import OptimizerConfig
from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.core.runtime import memory_guard
from pipelines.training.generation.engine import GenerationRequest, rollout_seed
from pipelines.training.generation.row_dropping import RowDroppingEngine
from pipelines.training.ppo.batch import RolloutBatch
from pipelines.training.ppo.networks import recompute_activations
from pipelines.training.ppo.trainer import PPOTrainer
from tests.training.helpers import CPU, PAD, TinyTokenizer, tiny_model, trainer_of
from tests.training.test_batch import ROWS, Row

pytestmark = pytest.mark.train


def weights(module: Any) -> dict[str, torch.Tensor]:
    """A copy of a module's weights."""
    return copy.deepcopy(module.state_dict())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], **tolerance: float) -> bool:
    """Whether two sets of weights are equal."""
    return all(
        torch.allclose(one[name], other[name], **tolerance) if tolerance else torch.equal(one[name], other[name])
        for name in one
    )


def test_the_size_of_chunks_changes_nothing() -> None:
    ends = []
    for micro in (None, 1, 3):
        trainer = trainer_of(tiny_model(), micro_batch=micro, mini_batch=4, epochs=2)
        metrics = trainer.update(RolloutBatch.from_rollouts(ROWS, PAD), step=0)
        ends.append((weights(trainer.policy), weights(trainer.value_network), metrics))
    for policy, critic, metrics in ends[1:]:
        # AdamW's first steps are near the sign of the gradient, so rounding shows at 1e-4 of the learning rate.
        assert same(policy, ends[0][0], atol=2e-4)
        assert same(critic, ends[0][1], atol=2e-4)
        assert metrics == pytest.approx(ends[0][2], rel=1e-3, abs=1e-4)


def test_actor_and_critic_may_have_mini_batches_of_their_own() -> None:
    """Each network ends as it does where both have its mini-batch: they share rollouts and order, and no weights."""
    fields: dict[str, Any] = {"learning_rate": 1e-2, "weight_decay": 0}
    ends = {}
    for actor, critic in ((4, 1), (4, 4), (1, 1)):
        sizes = {"actor": fields | {"mini_batch": actor}, "critic": fields | {"mini_batch": critic}}
        trainer = trainer_of(tiny_model(), epochs=2, **sizes)
        metrics = trainer.update(RolloutBatch.from_rollouts(ROWS, PAD), step=0)
        ends[actor, critic] = (weights(trainer.policy), weights(trainer.value_network), metrics)
    policy, critic_weights, metrics = ends[4, 1]
    assert same(policy, ends[4, 4][0], atol=2e-4)
    assert same(critic_weights, ends[1, 1][1], atol=2e-4)
    assert not same(policy, ends[1, 1][0], atol=2e-3)
    assert not same(critic_weights, ends[4, 4][1], atol=2e-3)
    assert metrics["policy_loss"] == pytest.approx(ends[4, 4][2]["policy_loss"], rel=1e-3, abs=1e-5)
    assert metrics["value_loss"] == pytest.approx(ends[1, 1][2]["value_loss"], rel=1e-3, abs=1e-5)


def test_recomputing_activations_keeps_less_and_changes_nothing() -> None:
    ends, kept = [], []
    for recompute in (False, True):
        trainer = trainer_of(tiny_model(), mini_batch=4, epochs=2)
        if recompute:
            for network in (trainer.policy, trainer.value_network):
                recompute_activations(network)
        held: list[int] = []

        def pack(tensor: torch.Tensor, held: list[int] = held) -> torch.Tensor:
            held.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            metrics = trainer.update(RolloutBatch.from_rollouts(ROWS, PAD), step=0)
        ends.append((weights(trainer.policy), weights(trainer.value_network), metrics))
        kept.append(sum(held))
    assert same(ends[1][0], ends[0][0])
    assert same(ends[1][1], ends[0][1])
    assert ends[1][2] == ends[0][2]
    assert kept[1] < kept[0] / 2


def test_the_first_pass_over_fresh_rollouts_clips_nothing() -> None:
    trainer = trainer_of(tiny_model(), mini_batch=4)
    metrics = trainer.update(RolloutBatch.from_rollouts(ROWS, PAD), step=0)
    assert metrics["clip_fraction"] == 0
    assert metrics["policy_change"] == pytest.approx(0, abs=1e-6)
    assert metrics["kl"] == pytest.approx(0, abs=1e-6)
    assert metrics["updated"] == 1


def test_equal_rewards_leave_the_policy_alone_and_say_so() -> None:
    rows: list[Any] = [Row(row.prompt, row.completion, 0.1) for row in ROWS]
    trainer = trainer_of(tiny_model())
    before, critic = weights(trainer.policy), weights(trainer.value_network)
    metrics = trainer.update(RolloutBatch.from_rollouts(rows, PAD), step=0)
    assert same(weights(trainer.policy), before)
    assert not same(weights(trainer.value_network), critic)
    assert (metrics["equal_rewards"], metrics["updated"]) == (1, 0)
    assert "policy_loss" not in metrics


def test_only_the_critic_learns_while_it_warms_up() -> None:
    trainer = trainer_of(tiny_model(), critic_warmup_steps=1, critic_warmup_epochs=3)
    before = weights(trainer.policy)
    assert trainer.update(RolloutBatch.from_rollouts(ROWS, PAD), step=0)["updated"] == 0
    assert same(weights(trainer.policy), before)
    assert trainer.critic.schedule.last_epoch == 3
    assert trainer.update(RolloutBatch.from_rollouts(ROWS, PAD), step=1)["updated"] == 1
    assert not same(weights(trainer.policy), before)


def test_the_critic_starts_from_the_policy_and_says_zero() -> None:
    model = tiny_model()
    trainer = trainer_of(model)
    assert same(weights(trainer.value_network.backbone), weights(model.base_model))
    assert not trainer.estimate(RolloutBatch.from_rollouts(ROWS, PAD), 0).values.any()


def test_the_reference_stays_what_the_policy_was() -> None:
    trainer = trainer_of(tiny_model())
    before = weights(trainer.policy)
    for step in range(3):
        metrics = trainer.update(RolloutBatch.from_rollouts(ROWS, PAD), step)
    assert trainer.reference is not None
    assert same(weights(trainer.reference), before)
    assert metrics["kl"] != 0


def test_without_kl_there_is_no_reference_and_no_such_metric() -> None:
    trainer = trainer_of(tiny_model(), kl=0)
    assert trainer.reference is None
    assert "kl" not in trainer.update(RolloutBatch.from_rollouts(ROWS, PAD), step=0)


def test_gradients_are_clipped_to_the_norm() -> None:
    trainer = trainer_of(tiny_model(), max_grad_norm=1e-3)
    for parameter in trainer.policy.parameters():
        parameter.grad = torch.ones_like(parameter)
    found: list[float] = []

    def watch(*given: Any) -> None:
        norms = [parameter.grad.norm() for parameter in trainer.policy.parameters() if parameter.grad is not None]
        found.append(float(torch.stack(norms).norm()))

    trainer.actor.optimizer.register_step_pre_hook(watch)
    assert trainer.actor.step("actor") > 1
    assert found == [pytest.approx(1e-3, rel=1e-3)]


def test_a_gradient_that_is_not_finite_ends_the_stage_before_it_touches_a_weight() -> None:
    trainer = trainer_of(tiny_model())
    before = weights(trainer.value_network)
    rows: list[Any] = [Row(row.prompt, row.completion, row.reward * 1e38) for row in ROWS]
    with pytest.raises(StageFailed, match="gradient of the critic is not finite"):
        trainer.update(RolloutBatch.from_rollouts(rows, PAD), step=0)
    assert same(weights(trainer.value_network), before)


def test_out_of_memory_names_the_batch_and_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(tiny_model())

    def explode(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(trainer.policy, "forward", explode)
    with pytest.raises(StageFailed) as caught:
        trainer.update(RolloutBatch.from_rollouts(ROWS, PAD), step=7)
    assert "PPO step 7, a micro-batch of 4 rollouts × 8 tokens" in caught.value.summary
    assert "set recompute = true" in caught.value.remedy
    assert "--set micro_batch=2" in caught.value.remedy


def test_other_errors_pass_the_memory_guard() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_guard("x", "y"):
        raise RuntimeError("shapes do not match")


def play(
    trainer: PPOTrainer, reward: Callable[[tuple[int, ...]], float], *, steps: int, prompts: list[tuple[int, ...]]
) -> list[dict[str, float]]:
    """Runs PPO on a made-up reward of the completion's tokens; returns the metrics of each step."""
    engine = RowDroppingEngine(trainer.policy.model, TinyTokenizer(), CPU)
    found = []
    for step in range(steps):
        requests = [
            GenerationRequest(prompt, rollout_seed(0, "train", step, str(index), sample))
            for index, prompt in enumerate(prompts)
            for sample in range(16)
        ]
        completions = engine.generate(requests, trainer.config.sampling)
        rows: list[Any] = [
            Row(request.prompt, completion.tokens, reward(request.prompt + completion.tokens))
            for request, completion in zip(requests, completions, strict=True)
        ]
        batch = RolloutBatch.from_rollouts(rows, PAD)
        metrics = trainer.update(batch, step)
        found.append(metrics | {"reward": float(batch.scores.mean())})
    return found


def test_ppo_solves_a_bandit() -> None:
    """One token is drawn and one of twelve pays: a policy that starts at chance must find and prefer it."""
    trainer = trainer_of(
        tiny_model(seed=1),
        sampling=SamplingConfig(max_new_tokens=1),
        actor=OptimizerConfig(learning_rate=1e-2),
        mini_batch=16,
        kl=0.0,
    )
    metrics = play(trainer, lambda tokens: float(tokens[-1] == 7), steps=25, prompts=[(3,), (4,)])
    assert metrics[0]["reward"] < 0.3
    assert min(each["reward"] for each in metrics[-3:]) > 0.9


def test_ppo_solves_a_bandit_with_a_context() -> None:
    """Which token pays depends on the prompt, so a policy that ignores it earns at most half."""
    trainer = trainer_of(
        tiny_model(seed=2),
        sampling=SamplingConfig(max_new_tokens=1),
        actor=OptimizerConfig(learning_rate=1e-2),
        mini_batch=16,
    )
    pays = {3: 7, 4: 8}
    metrics = play(trainer, lambda tokens: float(tokens[1] == pays[tokens[0]]), steps=30, prompts=[(3,), (4,)])
    assert min(each["reward"] for each in metrics[-3:]) > 0.8


def test_the_critic_explains_variance_where_it_can() -> None:
    """The reward follows from the prompt alone, so values can be right from the first token on."""
    trainer = trainer_of(
        tiny_model(seed=3),
        sampling=SamplingConfig(max_new_tokens=3),
        critic=OptimizerConfig(learning_rate=1e-2),
        critic_warmup_steps=12,
        critic_warmup_epochs=2,
    )
    metrics = play(trainer, lambda tokens: float(tokens[0] == 3), steps=12, prompts=[(3,), (4,)])
    assert metrics[0]["explained_variance"] == pytest.approx(0, abs=1e-3)
    assert metrics[-1]["explained_variance"] > 0.9
