"""Policy and critic networks, which compute outputs for the generated tokens of a right-padded batch only.

Logits of other positions are never computed: with a vocabulary of 128,000 they would take most of the memory.
Padding is on the right, where a causal model cannot attend to it from a valid position.
"""

import copy
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipelines.training.core.transformers_compat import decoder_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PolicyNetwork(nn.Module):  # type: ignore[misc] # torch is not followed by mypy
    """A causal language model that scores given tokens."""

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, target_mask: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Compute the log-probability of each target and the entropy of its distribution.

        Args:
            ids: token ids (rows, width), padded on the right.
            target_mask: (rows, width), true on the n positions whose next token is a target.
            targets: token ids (n,), row by row.
            temperature: of the sampling; divides the logits.

        Returns:
            Log-probabilities and entropies, (n,) each, float32.
        """
        hidden = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state[target_mask]
        logits = self.model.get_output_embeddings()(hidden).float() / temperature
        log_probs = torch.log_softmax(logits, dim=-1)
        entropy = -(log_probs.exp() * log_probs).sum(dim=-1)
        # A copy, because FSDP2 warns of views among the outputs.
        return log_probs.gather(1, targets.unsqueeze(1)).squeeze(1).clone(), entropy


class ValueNetwork(nn.Module):  # type: ignore[misc]
    """A copy of the policy's backbone with a value head, which predicts zero at first."""

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.backbone = copy.deepcopy(model.base_model)
        self.head = nn.Linear(model.config.hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor, target_mask: Tensor) -> Tensor:
        """Return values (n,), float32, at the n positions of `ids` (rows, width) where `target_mask` is true."""
        hidden = self.backbone(input_ids=ids, use_cache=False).last_hidden_state[target_mask]
        values: Tensor = self.head(hidden).squeeze(-1).float().clone()
        return values


def freeze_copy(policy: PolicyNetwork) -> PolicyNetwork:
    """Return a copy of the policy without gradients."""
    reference = copy.deepcopy(policy)
    reference.requires_grad_(False)
    reference.eval()
    return reference


def recompute_activations(network: nn.Module) -> None:
    """Store only the inputs of each decoder layer in a forward pass and recompute the rest in the backward pass.

    Changes the network in place. Copy it before, never after: the layers of a copy would use the original's weights.
    """
    for block in decoder_layers(network):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
