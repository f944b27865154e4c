"""Policy and critic networks, which compute outputs for the generated tokens of a right-padded batch only.

Logits of other positions are never computed: with a vocabulary of 128,000 they would take most of the memory. Those of
generated tokens are computed in parts of at most `LOGITS_BYTES`.
Padding is on the right, where a causal model cannot attend to it from a valid position.
"""

import copy
from functools import partial
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipelines.training.core.fused_backbone import can_fuse_backbone, target_states
from pipelines.training.core.transformers_compat import decoder_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOGITS_BYTES: Final = 512 * 2**20
"""Most bytes of float32 logits that exist at once: 883 tokens of a vocabulary of 151,936. TRL's trainers use tiles of
the same size."""


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
        hidden = _hidden_states(self.model.base_model, ids, target_mask)
        tokens = tokens_of_logits(self.model.get_output_embeddings().out_features)
        if len(hidden) <= tokens:
            return self._score(hidden, targets, temperature)
        # The backward pass computes the logits of a part again, so that those of one part exist at a time.
        score = partial(checkpoint, self._score, use_reentrant=False, preserve_rng_state=False)
        parts = [
            score(part, chosen, temperature)
            for part, chosen in zip(hidden.split(tokens), targets.split(tokens), strict=True)
        ]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def stored_names(self) -> dict[str, str]:
        """Return the name in the model's files of each parameter."""
        return {f"model.{name}": name for name, _ in self.model.named_parameters()}

    def _score(self, hidden: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Compute what `forward` returns from the last hidden states of the targets' positions, (n, width)."""
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
        self._prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
        self.head = nn.Linear(model.config.hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor, target_mask: Tensor) -> Tensor:
        """Return values (n,), float32, at the n positions of `ids` (rows, width) where `target_mask` is true."""
        hidden = _hidden_states(self.backbone, ids, target_mask)
        values: Tensor = self.head(hidden).squeeze(-1).float().clone()
        return values

    def stored_names(self) -> dict[str, str]:
        """Return the name in the model's files of each parameter of the backbone; those of the head are in none."""
        return {f"backbone.{name}": f"{self._prefix}{name}" for name, _ in self.backbone.named_parameters()}


def tokens_of_logits(vocabulary: int) -> int:
    """Return how many tokens have their logits computed at once; at least one."""
    return max(1, LOGITS_BYTES // (4 * vocabulary))


def _hidden_states(backbone: nn.Module, ids: Tensor, target_mask: Tensor) -> Tensor:
    """Return the last hidden states (n, hidden size) at the n positions of `ids` where `target_mask` is true."""
    if can_fuse_backbone(backbone):
        return target_states(backbone, ids, target_mask)
    hidden: Tensor = backbone(input_ids=ids, use_cache=False).last_hidden_state[target_mask]
    return hidden


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
