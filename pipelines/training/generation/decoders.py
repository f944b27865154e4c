"""Decoding one token per row per step, behind one protocol: transformers' own forward pass, or a fused one.

The fused decoder serves small Llama and Qwen2 models in float32 on a CPU, where transformers spends most of a step
outside matrix products: `DynamicCache` copies the whole cache for every token, and each layer runs some forty small
operations. It joins the query, key and value projections and the gate and up projections, folds the gain of each
RMSNorm into the projection behind it, and writes keys and values into a cache allocated once. Its logits equal
transformers' up to float32 rounding.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch.nn.functional import linear, scaled_dot_product_attention, silu

from pipelines.training.core.fused_backbone import (
    as_pairs,
    has_fusable_layers,
    has_plain_parameters,
    normalise,
    paired_rows,
    rotations_at,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Decoder(Protocol):
    """The forward passes of one batch of rows."""

    def prefill(self, ids: torch.Tensor, mask: torch.Tensor | None, positions: torch.Tensor) -> torch.Tensor:
        """Read the prompts.

        Args:
            ids: token ids (rows, length), padded on the left.
            mask: 1 where a token is not padding (rows, length); None if there is no padding.
            positions: position of each token in its row (rows, length).

        Returns:
            Logits of the next token (rows, vocabulary).
        """
        ...

    def step(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Append one token (rows,) at its position (rows,) to each row; return the logits of the next one."""
        ...

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these (indices into the current rows)."""
        ...


class TransformersDecoder:
    """The model's own forward pass with a `DynamicCache`; any architecture, device and number type."""

    def __init__(self, model: "PreTrainedModel") -> None:
        from transformers import DynamicCache

        self.cache = DynamicCache(config=model.config)
        self._model = model
        self._mask: torch.Tensor | None = None

    def prefill(self, ids: torch.Tensor, mask: torch.Tensor | None, positions: torch.Tensor) -> torch.Tensor:
        """Read the prompts; see `Decoder.prefill`."""
        self._mask = mask
        return self._forward(ids, positions)

    def step(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Append one token to each row; see `Decoder.step`."""
        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(ids), 1)], dim=1)
        return self._forward(ids.unsqueeze(1), positions.unsqueeze(1))

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        self.cache.batch_select_indices(rows)
        self._mask = None if self._mask is None else self._mask[rows]

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        return logits


class _Projection(NamedTuple):
    """Weight (out, in) and bias (out,) of a linear layer."""

    weight: torch.Tensor
    bias: torch.Tensor | None


class _FusedLayer(NamedTuple):
    qkv: _Projection
    out: _Projection
    gate_up: _Projection
    down: _Projection


class FusedWeights:
    """A copy of a model's weights in the layout of the fused decoder. Valid until the model's weights change."""

    def __init__(self, model: "PreTrainedModel", max_positions: int) -> None:
        config = model.config
        body: Any = model.model
        self.heads = int(config.num_attention_heads)
        self.kv_heads = int(config.num_key_value_heads)
        self.head_size = int(getattr(config, "head_dim", None) or config.hidden_size // self.heads)
        self.epsilon = float(config.rms_norm_eps)
        self.embeddings: torch.Tensor = body.embed_tokens.weight
        self.layers = [self._layer(layer) for layer in body.layers]
        self.head = _folded(body.norm.weight, model.lm_head)
        self.rotations = rotations_at(body.rotary_emb, max_positions)
        """Of pairs of coordinates, complex numbers (positions, head size / 2)."""
        self.pairs, _ = paired_rows(self.head_size, 0, self.head_size)
        """Coordinates of a head in the order of queries and keys."""

    def _layer(self, layer: Any) -> _FusedLayer:
        attention, mlp = layer.self_attn, layer.mlp
        entry, middle = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        rotated = (self.heads + self.kv_heads) * self.head_size
        order, _ = paired_rows(rotated, self.kv_heads * self.head_size, self.head_size)
        qkv = _folded(entry, attention.q_proj, attention.k_proj, attention.v_proj)
        return _FusedLayer(
            qkv=_Projection(qkv.weight[order], None if qkv.bias is None else qkv.bias[order]),
            out=_Projection(attention.o_proj.weight, attention.o_proj.bias),
            gate_up=_folded(middle, mlp.gate_proj, mlp.up_proj),
            down=_Projection(mlp.down_proj.weight, mlp.down_proj.bias),
        )


def _folded(gain: torch.Tensor, *layers: Any) -> _Projection:
    """One projection that equals several behind an RMSNorm with this gain."""
    weight = torch.cat([layer.weight * gain for layer in layers])
    if layers[0].bias is None:
        return _Projection(weight, None)
    return _Projection(weight, torch.cat([layer.bias for layer in layers]))


def can_fuse(model: "PreTrainedModel", device: torch.device, compute: torch.dtype) -> bool:
    """Return whether the fused decoder computes what this model computes, and is worth its copy of the weights."""
    if device.type != "cpu" or compute != torch.float32 or not has_fusable_layers(model.config):
        return False
    return type(model).__name__ in ("LlamaForCausalLM", "Qwen2ForCausalLM") and has_plain_parameters(model)


class FusedDecoder:
    """Steps on fused weights; prompts are read by the model itself.

    Args:
        weights: of this model, as it is now.
        new_tokens: most tokens that will follow the prompt; the cache is allocated for them.
    """

    def __init__(self, model: "PreTrainedModel", weights: FusedWeights, new_tokens: int) -> None:
        self._weights = weights
        self._prompts = TransformersDecoder(model)
        self._new_tokens = new_tokens
        self._length = 0
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._bias: torch.Tensor | None = None

    def prefill(self, ids: torch.Tensor, mask: torch.Tensor | None, positions: torch.Tensor) -> torch.Tensor:
        """Read the prompts; see `Decoder.prefill`."""
        logits = self._prompts.prefill(ids, mask, positions)
        self._length = ids.shape[1]
        capacity = self._length + self._new_tokens
        for layer in self._prompts.cache.layers:
            self._keys.append(_with_room(layer.keys[..., self._weights.pairs], capacity))
            self._values.append(_with_room(layer.values, capacity))
        if mask is not None:
            self._bias = torch.zeros(len(ids), 1, 1, capacity)
            self._bias[:, 0, 0, : self._length].masked_fill_(mask == 0, -torch.inf)
        del self._prompts
        return logits

    def step(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Append one token to each row; see `Decoder.step`."""
        weights = self._weights
        rows, size = len(ids), weights.head_size
        rotated = weights.heads + weights.kv_heads
        rotations = weights.rotations[positions].unsqueeze(1)
        end = self._length + 1
        bias = None if self._bias is None else self._bias[..., :end]
        grouped = weights.heads // weights.kv_heads
        hidden = weights.embeddings[ids]
        for layer, keys, values in zip(weights.layers, self._keys, self._values, strict=True):
            joined = linear(normalise(hidden, weights.epsilon)[0], *layer.qkv).view(rows, -1, size)
            as_pairs(joined[:, :rotated]).mul_(rotations)
            keys[:, :, self._length] = joined[:, weights.heads : rotated]
            values[:, :, self._length] = joined[:, rotated:]
            # Query heads of one key head stand where a sequence of queries would: no key is repeated in memory.
            queries = joined[:, : weights.heads].reshape(rows, weights.kv_heads, grouped, size)
            mixed = scaled_dot_product_attention(queries, keys[:, :, :end], values[:, :, :end], attn_mask=bias)
            hidden = _plus(hidden, mixed.reshape(rows, -1), layer.out)
            gate, up = linear(normalise(hidden, weights.epsilon)[0], *layer.gate_up).chunk(2, dim=-1)
            hidden = _plus(hidden, silu(gate, inplace=True).mul_(up), layer.down)
        self._length = end
        return linear(normalise(hidden, weights.epsilon)[0], *weights.head)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        for layer in (self._keys, self._values):
            for index, cached in enumerate(layer):
                layer[index] = _with_room(cached[rows, :, : self._length], cached.shape[2])
        self._bias = None if self._bias is None else self._bias[rows]


def _with_room(cached: torch.Tensor, capacity: int) -> torch.Tensor:
    """A copy of keys or values (rows, heads, length, size) in a tensor of this length; what follows is undefined."""
    room = cached.new_empty(*cached.shape[:2], capacity, cached.shape[3])
    room[:, :, : cached.shape[2]] = cached
    return room


def _plus(hidden: torch.Tensor, given: torch.Tensor, layer: _Projection) -> torch.Tensor:
    """Return the hidden states plus a projection of what is given."""
    added = torch.addmm(hidden, given, layer.weight.t())
    return added if layer.bias is None else added.add_(layer.bias)
