"""Policy and critic as modules that see right-padded batches and answer for the target_mask positions only.

Logits of positions nobody asked for are never made: with a vocabulary of 128,000 they are most of the memory.
Padding stands to the right of every row, where a causal model cannot see it from a valid position.
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
        """Log-probability of each target and entropy of the distribution it was drawn from.

        Args:
            ids: (rows, width), padded to the right.
            target_mask: (rows, width), true where the next token is a target; n of them.
            targets: (n,), row by row.
            temperature: of the sampling.

        Returns:
            Log-probabilities and entropies, (n,) each, float32.
        """
        hidden = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state[target_mask]
        logits = self.model.get_output_embeddings()(hidden).float() / temperature
        log_probs = torch.log_softmax(logits, dim=-1)
        entropy = -(log_probs.exp() * log_probs).sum(dim=-1)
        # Contiguous: FSDP2 warns of views among the outputs.
        return log_probs.gather(1, targets.unsqueeze(1)).squeeze(1).clone(), entropy


class ValueNetwork(nn.Module):  # type: ignore[misc]
    """The policy's own backbone, copied, with a head for the value of a state. Starts by saying zero."""

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.backbone = copy.deepcopy(model.base_model)
        self.head = nn.Linear(model.config.hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor, target_mask: Tensor) -> Tensor:
        """Values (n,), float32, of the states at the n target_mask positions of `ids` (rows, width)."""
        hidden = self.backbone(input_ids=ids, use_cache=False).last_hidden_state[target_mask]
        values: Tensor = self.head(hidden).squeeze(-1).float().clone()
        return values


def freeze_copy(policy: PolicyNetwork) -> PolicyNetwork:
    """A frozen copy of the policy as it is now."""
    reference = copy.deepcopy(policy)
    reference.requires_grad_(False)
    reference.eval()
    return reference


def recompute_activations(network: nn.Module) -> None:
    """Keeps of a pass with gradients only what enters each block, and computes the rest again on the way back.

    In place. No copy may be made afterwards: its blocks would compute with the weights of the original.
    """
    for block in decoder_layers(network):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
