"""Hidden states of small Llama and Qwen2 models on a CPU, with gradients, in few passes over memory.

At a hidden size of 64, norms, rotary embeddings and activations take transformers longer than the matrix products: each
of their forty operations a layer passes over memory, and so does each gradient. Here two autograd functions a layer
compute what lies before and behind attention. They join projections, fold the gain of each RMSNorm into the projections
behind it, rotate pairs of coordinates as complex numbers, and know their own gradients. Behind the last attention only
the positions asked for are computed. Outputs and gradients equal those of transformers up to float32 rounding.
"""

from functools import cache, partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import embedding, linear, scaled_dot_product_attention, silu
from torch.utils.checkpoint import checkpoint

FUSED_BYTES: Final = 256 * 2**20
"""Largest model whose weights are copied into a fused layout; matrix products dominate beyond it."""
_MODEL_TYPES: Final = ("llama", "qwen2")
_BACKBONES: Final = ("LlamaModel", "Qwen2Model")
_STATIC_ROPE: Final = ("default", "linear", "llama3")
"""Rotary embeddings whose angles depend on the position alone, not on the length of the sequence."""


def has_fusable_layers(config: Any) -> bool:
    """Return whether a transformers config describes decoder layers that the fused passes compute."""
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        config.model_type in _MODEL_TYPES
        and rope.get("rope_type", "default") in _STATIC_ROPE
        and config.hidden_act == "silu"
        and all(kind == "full_attention" for kind in getattr(config, "layer_types", None) or ())
    )


def has_plain_parameters(module: nn.Module) -> bool:
    """Return whether all parameters are unsharded, in float32, on the CPU, and together small enough to be copied."""
    parameters = list(module.parameters())
    plain = all(type(each) is nn.Parameter and each.dtype == torch.float32 and each.is_cpu for each in parameters)
    return plain and sum(each.nbytes for each in parameters) <= FUSED_BYTES


def can_fuse_backbone(backbone: Any) -> bool:
    """Return whether `target_states` computes what this backbone computes, as it is now.

    Sharded layers, biases in the MLP, dropout, autocast, other number types and devices are left to transformers.
    """
    if type(backbone).__name__ not in _BACKBONES or not has_fusable_layers(backbone.config):
        return False
    if backbone.config.attention_dropout or torch.is_autocast_enabled("cpu"):
        return False
    for layer in backbone.layers:
        hooked = "forward" in vars(layer) and not _is_recomputed(layer)
        if hooked or layer.mlp.gate_proj.bias is not None:
            return False
    return has_plain_parameters(backbone)


def target_states(backbone: Any, ids: Tensor, target_mask: Tensor) -> Tensor:
    """Compute the last hidden states at some positions of right-padded rows.

    Args:
        backbone: a model without its head, which `can_fuse_backbone` accepts.
        ids: token ids (rows, width), padded on the right.
        target_mask: (rows, width), true on the n positions asked for.

    Returns:
        Hidden states behind the last norm, (n, hidden size), row by row.
    """
    epsilon = float(backbone.config.rms_norm_eps)
    targets = target_mask.flatten().nonzero().squeeze(1)
    rotations = rotations_at(backbone.rotary_emb, ids.shape[1]).unsqueeze(1)
    embeddings = backbone.embed_tokens
    hidden = embedding(ids, embeddings.weight, embeddings.padding_idx)
    last = len(backbone.layers) - 1
    for index, layer in enumerate(backbone.layers):
        given = layer, hidden, rotations, epsilon, targets if index == last else None
        hidden = checkpoint(_layer, *given, use_reentrant=False) if _is_recomputed(layer) else _layer(*given)
    return _Normalisation.apply(hidden, epsilon) * backbone.norm.weight


def _layer(layer: Any, hidden: Tensor, rotations: Tensor, epsilon: float, targets: Tensor | None) -> Tensor:
    """Compute a decoder layer: (rows, width, size) to the same, or to (n, size) at n positions of the flat rows."""
    rows, width, size = hidden.shape
    attention, mlp = layer.self_attn, layer.mlp
    projections = attention.q_proj, attention.k_proj, attention.v_proj
    queries, keys, values = _RotatedHeads.apply(
        hidden,
        layer.input_layernorm.weight,
        *(each.weight for each in projections),
        *(each.bias for each in projections),
        rotations,
        epsilon,
    )
    shared = queries.shape[1] != keys.shape[1]
    mixed = scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=shared)
    mixed = mixed.transpose(1, 2).reshape(rows * width, -1)
    flat = hidden.view(rows * width, size)
    if targets is not None:
        mixed, flat = mixed.index_select(0, targets), flat.index_select(0, targets)
    flat = torch.addmm(flat, mixed, attention.o_proj.weight.t())
    if attention.o_proj.bias is not None:
        flat = flat + attention.o_proj.bias
    gain = layer.post_attention_layernorm.weight
    weights = mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight
    flat = _GatedMLP.apply(flat, gain, *weights, epsilon, torch.is_grad_enabled())
    return flat if targets is not None else flat.view(rows, width, size)


def _is_recomputed(layer: nn.Module) -> bool:
    """Return whether `recompute_activations` changed the layer."""
    forward = vars(layer).get("forward")
    return isinstance(forward, partial) and forward.func is checkpoint


def rotations_at(rotary: Any, width: int) -> Tensor:
    """Return the rotations of pairs of coordinates at positions 0, 1, …: complex numbers (width, head size / 2)."""
    angles = torch.outer(torch.arange(width, dtype=torch.float32), rotary.inv_freq)
    return torch.polar(torch.full_like(angles, rotary.attention_scaling), angles)


def as_pairs(heads: Tensor) -> Tensor:
    """View coordinates (…, head size) as complex numbers (…, head size / 2)."""
    return torch.view_as_complex(heads.unflatten(-1, (-1, 2)))


@cache
def paired_rows(rotated: int, rest: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the order of rows of a joined projection in which the two of a pair are neighbours, and its inverse.

    Transformers pairs coordinate i of a head with i + size / 2. Queries and keys take the same order, so that their
    products stay what they are.

    Args:
        rotated: rows of queries and keys.
        rest: rows of values, which stay where they are.
        size: rows of a head.
    """
    pairs = torch.arange(rotated).view(-1, 2, size // 2).transpose(1, 2).flatten()
    order = torch.cat([pairs, torch.arange(rotated, rotated + rest)])
    return order, order.argsort()


def normalise(hidden: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return the rows of (n, size) divided by their root mean square, and the factors, (n, 1)."""
    factors = torch.linalg.vecdot(hidden, hidden).mul_(1 / hidden.shape[-1]).add_(epsilon).rsqrt_().unsqueeze(-1)
    return hidden * factors, factors


def _before_norm(grad: Tensor, normed: Tensor) -> Tensor:
    """Return the gradient before `normalise`, still without the rows' factors, from the one behind it."""
    along = torch.linalg.vecdot(grad, normed).mul_(-1 / grad.shape[-1]).unsqueeze(-1)
    return torch.addcmul(grad, normed, along)


class _Normalisation(Function):  # type: ignore[misc] # torch is not followed by mypy
    """RMSNorm without its gain, of (n, size)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, epsilon: float) -> Tensor:
        normed, factors = normalise(hidden, epsilon)
        ctx.save_for_backward(normed, factors)
        return normed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        normed, factors = ctx.saved_tensors
        return _before_norm(grad, normed).mul_(factors), None


class _RotatedHeads(Function):  # type: ignore[misc]
    """RMSNorm, projections and rotation: (rows, width, size) to three of (rows, heads, width, head size)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        gain: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        query_bias: Tensor | None,
        key_bias: Tensor | None,
        value_bias: Tensor | None,
        rotations: Tensor,
        epsilon: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, width, _ = hidden.shape
        size = 2 * rotations.shape[-1]
        ctx.heads = [len(each) // size for each in (query, key, value)]
        order, _ = paired_rows(len(query) + len(key), len(value), size)
        weight = torch.cat([query, key, value])[order]
        folded = weight * gain
        bias = None if query_bias is None else torch.cat([query_bias, key_bias, value_bias])[order]
        normed, factors = normalise(hidden.view(rows * width, -1), epsilon)
        joined = linear(normed, folded, bias).view(rows, width, -1, size)
        as_pairs(joined[:, :, : -ctx.heads[2]]).mul_(rotations)
        ctx.biased = bias is not None
        ctx.save_for_backward(normed, factors, gain, weight, folded, rotations)
        queries, keys, values = joined.split(ctx.heads, dim=2)
        return queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        normed, factors, gain, weight, folded, rotations = ctx.saved_tensors
        rows, _, width, size = grads[0].shape
        joined = normed.new_empty(rows, width, sum(ctx.heads), size)
        back = rotations.conj().resolve_conj()
        for part, grad in zip(joined.split(ctx.heads, dim=2), grads, strict=True):
            part.copy_(grad.transpose(1, 2))
        as_pairs(joined[:, :, : -ctx.heads[2]]).mul_(back)
        flat = joined.view(rows * width, -1)
        hidden = _before_norm(flat @ folded, normed).mul_(factors).view(rows, width, -1)
        product = flat.t() @ normed
        lengths = [heads * size for heads in ctx.heads]
        _, inverse = paired_rows(lengths[0] + lengths[1], lengths[2], size)
        gains = (product * weight).sum(0)
        weights = product.mul_(gain)[inverse].split(lengths)
        biases = flat.sum(0)[inverse].split(lengths) if ctx.biased else (None, None, None)
        return hidden, gains, *weights, *biases, None, None


class _GatedMLP(Function):  # type: ignore[misc]
    """RMSNorm, gated SiLU and projection back, added to the hidden states (n, size) that came in."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, gain: Tensor, gate: Tensor, up: Tensor, down: Tensor, epsilon: float, learning: bool
    ) -> Tensor:
        normed, factors = normalise(hidden, epsilon)
        folded_gate, folded_up = gate * gain, up * gain
        gates, ups = normed @ folded_gate.t(), normed @ folded_up.t()
        if not learning:
            return torch.addmm(hidden, silu(gates, inplace=True).mul_(ups), down.t())
        opened = silu(gates)
        product = opened * ups
        ctx.save_for_backward(
            normed, factors, gain, gate, up, down, folded_gate, folded_up, gates, ups, opened, product
        )
        return torch.addmm(hidden, product, down.t())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        normed, factors, gain, gate, up, down, folded_gate, folded_up, gates, ups, opened, product = ctx.saved_tensors
        downs = grad.t() @ product
        opening = grad @ down
        upward = opening * opened
        torch.ops.aten.silu_backward.grad_input(opening.mul_(ups), gates, grad_input=opening)
        ahead = torch.addmm(opening @ folded_gate, upward, folded_up)
        hidden = torch.addcmul(grad, _before_norm(ahead, normed), factors)
        gate_product, up_product = opening.t() @ normed, upward.t() @ normed
        gains = (gate_product * gate).add_(up_product * up).sum(0)
        return hidden, gains, gate_product.mul_(gain), up_product.mul_(gain), downs, None, None
