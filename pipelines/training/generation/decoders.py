"""Decoding one token per row per step, behind one protocol: transformers' own forward pass, or a fused one.

The fused decoder serves small Llama and Qwen2 models in float32 on a CPU, where transformers spends most of a step
outside matrix products: `DynamicCache` copies the whole cache for every token, and each layer runs some forty small
operations. It joins the query, key and value projections and the gate and up projections, folds the gain of each
RMSNorm into the projection behind it, and writes keys and values into a cache allocated once. Its logits equal
transformers' up to float32 rounding.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import torch
from torch.nn.functional import linear, scaled_dot_product_attention, silu

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FUSED_TYPES: Final = ("llama", "qwen2")
_STATIC_ROPE: Final = ("default", "linear", "llama3")
"""Rotary embeddings whose angles depend on the position alone, not on the length of the sequence."""
_FUSED_BYTES: Final = 256 * 2**20
"""Largest model whose weights are copied for the fused decoder; matrix products dominate beyond it."""


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
        cos, sin = body.rotary_emb(self.embeddings, torch.arange(max_positions).unsqueeze(0))
        half = self.head_size // 2
        self.cos = cos[0]
        """(positions, head size)"""
        self.signed_sin = torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)
        """Sines (positions, head size) with the sign of the half they multiply."""

    @staticmethod
    def _layer(layer: Any) -> _FusedLayer:
        attention, mlp = layer.self_attn, layer.mlp
        entry, middle = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        return _FusedLayer(
            qkv=_folded(entry, attention.q_proj, attention.k_proj, attention.v_proj),
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
    config = model.config
    if config.model_type not in _FUSED_TYPES or device.type != "cpu" or compute != torch.float32:
        return False
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") not in _STATIC_ROPE or config.hidden_act != "silu":
        return False
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        return False
    if type(model).__name__ not in ("LlamaForCausalLM", "Qwen2ForCausalLM"):
        return False
    parameters = list(model.parameters())
    plain = all(type(each) is torch.nn.Parameter and each.dtype == torch.float32 for each in parameters)
    return plain and sum(each.nbytes for each in parameters) <= _FUSED_BYTES


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
            self._keys.append(_with_room(layer.keys, capacity))
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
        cos, sin = weights.cos[positions].unsqueeze(1), weights.signed_sin[positions].unsqueeze(1)
        end = self._length + 1
        bias = None if self._bias is None else self._bias[..., :end]
        grouped = weights.heads // weights.kv_heads
        hidden = weights.embeddings[ids]
        for layer, keys, values in zip(weights.layers, self._keys, self._values, strict=True):
            joined = linear(_normalised(hidden, weights.epsilon), *layer.qkv).view(rows, -1, size)
            turning = joined[:, :rotated]
            turned = turning * cos + turning.roll(size // 2, dims=-1) * sin
            keys[:, :, self._length] = turned[:, weights.heads :]
            values[:, :, self._length] = joined[:, rotated:]
            # Query heads of one key head stand where a sequence of queries would: no key is repeated in memory.
            queries = turned[:, : weights.heads].reshape(rows, weights.kv_heads, grouped, size)
            mixed = scaled_dot_product_attention(queries, keys[:, :, :end], values[:, :, :end], attn_mask=bias)
            hidden = hidden + linear(mixed.reshape(rows, -1), *layer.out)
            gate, up = linear(_normalised(hidden, weights.epsilon), *layer.gate_up).chunk(2, dim=-1)
            hidden = hidden + linear(silu(gate) * up, *layer.down)
        self._length = end
        return linear(_normalised(hidden, weights.epsilon), *weights.head)

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


def _normalised(hidden: torch.Tensor, epsilon: float) -> torch.Tensor:
    return hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + epsilon)
