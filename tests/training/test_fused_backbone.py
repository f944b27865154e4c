"""The fused training pass has transformers' outputs and gradients, and is used only where it does."""

import copy
from functools import partial
from typing import Any

import pytest
import torch

from pipelines.training.core import fused_backbone
from pipelines.training.core.fused_backbone import can_fuse_backbone, target_states
from pipelines.training.ppo import networks
from pipelines.training.ppo.batch import RolloutBatch
from pipelines.training.ppo.networks import recompute_activations
from tests.training.helpers import PAD, tiny_model, trainer_of
from tests.training.test_batch import ROWS
from tests.training.test_decoders import model_of

pytestmark = pytest.mark.train

FAMILIES = [
    ("Llama", {}),
    ("Llama", {"num_key_value_heads": 2, "attention_bias": True}),
    ("Llama", {"head_dim": 16, "tie_word_embeddings": False}),
    ("Llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}}),
    ("Llama", {"pad_token_id": 0}),
    ("Qwen2", {}),
    ("Qwen2", {"num_key_value_heads": 1, "tie_word_embeddings": False}),
]
LENGTHS = (9, 12, 5, 12)


def padded_rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of several lengths, and the positions asked for: all but the first three and the padding."""
    torch.manual_seed(1)
    columns = torch.arange(max(LENGTHS))
    valid = columns < torch.tensor(LENGTHS).unsqueeze(1)
    return torch.where(valid, torch.randint(1, 40, valid.shape), 0), valid & (columns >= 3)


def states_and_gradients(compute: Any, backbone: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Hidden states, and the gradients of a random combination of them."""
    backbone.zero_grad()
    states = compute(backbone, *padded_rows())
    torch.manual_seed(2)
    (states * torch.randn(states.shape)).sum().backward()
    return states.detach(), {name: each.grad.clone() for name, each in backbone.named_parameters()}


def of_transformers(backbone: Any, ids: torch.Tensor, target_mask: torch.Tensor) -> torch.Tensor:
    states: torch.Tensor = backbone(input_ids=ids, use_cache=False).last_hidden_state[target_mask]
    return states


@pytest.mark.parametrize(("family", "fields"), FAMILIES)
def test_states_and_gradients_are_those_of_transformers(family: str, fields: dict[str, Any]) -> None:
    backbone = model_of(family, **fields).base_model
    assert can_fuse_backbone(backbone)
    expected, their_gradients = states_and_gradients(of_transformers, backbone)
    found, gradients = states_and_gradients(target_states, backbone)
    assert found.shape == (sum(LENGTHS) - 3 * len(LENGTHS), 32)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients.items():
        assert float((gradient - their_gradients[name]).norm() / their_gradients[name].norm()) < 1e-5, name
    with torch.no_grad():
        assert torch.allclose(target_states(backbone, *padded_rows()), expected, rtol=1e-5, atol=1e-5)


def test_gradients_are_exact_in_double_precision() -> None:
    """Against finite differences, in every parameter."""
    backbone = model_of("Qwen2", num_key_value_heads=2).base_model.double()
    names, parameters = zip(*backbone.named_parameters(), strict=True)
    rows = padded_rows()

    def states(*given: torch.Tensor) -> torch.Tensor:
        named = {f"inner.{name}": each for name, each in zip(names, given, strict=True)}
        return torch.func.functional_call(_States(backbone), named, rows)

    assert torch.autograd.gradcheck(states, parameters, fast_mode=True)


class _States(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        return target_states(self.inner, *given)


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("Mistral", {}),
        ("Qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 0}),
        ("Llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}}),
        ("Llama", {"hidden_act": "gelu"}),
        ("Llama", {"mlp_bias": True}),
        ("Llama", {"attention_dropout": 0.1}),
    ],
)
def test_other_architectures_are_left_to_transformers(family: str, fields: dict[str, Any]) -> None:
    assert not can_fuse_backbone(model_of(family, **fields).base_model)


def test_other_number_types_hooks_and_large_models_are_left_to_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = model_of("Llama").base_model
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not can_fuse_backbone(backbone)
    assert can_fuse_backbone(backbone)
    recomputed = copy.deepcopy(backbone)
    recompute_activations(recomputed)
    assert can_fuse_backbone(recomputed)
    hooked = copy.deepcopy(backbone)
    hooked.layers[1].forward = hooked.layers[1].forward
    assert not can_fuse_backbone(hooked)
    assert not can_fuse_backbone(copy.deepcopy(backbone).to(torch.bfloat16))
    monkeypatch.setattr(fused_backbone, "FUSED_BYTES", 1000)
    assert not can_fuse_backbone(backbone)


def keep_gradients(kept: dict[str, torch.Tensor], prefix: str, network: torch.nn.Module, *_: Any) -> None:
    """Copy a network's gradients before the optimizer uses them."""
    kept |= {f"{prefix}.{name}": each.grad.clone() for name, each in network.named_parameters()}


def test_an_update_is_the_one_transformers_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics of all passes, and the gradient of the last mini-batch, of policy and critic."""
    ends = []
    for fuse in (True, False):
        if not fuse:
            monkeypatch.setattr(networks, "can_fuse_backbone", lambda backbone: False)
        trainer = trainer_of(tiny_model(), mini_batch=2, entropy=0.01)
        torch.nn.init.normal_(trainer.value_network.head.weight)
        gradients: dict[str, torch.Tensor] = {}
        for name, learning in trainer.networks().items():
            learning.optimizer.register_step_pre_hook(partial(keep_gradients, gradients, name, learning.network))
            # Without a step of the weights: AdamW turns rounding of small gradients into steps of full size.
            for group in learning.optimizer.param_groups:
                group["lr"] = 0.0
            learning.schedule.base_lrs = [0.0]
        metrics = trainer.update(RolloutBatch.from_rollouts(ROWS, PAD), step=0)
        ends.append((metrics, gradients))
    (ours, gradients), (theirs, their_gradients) = ends
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)
    assert gradients.keys() == their_gradients.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, their_gradients[name], rtol=1e-5, atol=1e-5), name
