"""The shape of a decoder-only transformer, and what follows from it: parameters of its parts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Self

_KNOWN: Final = "known_models.json"
_WITH_BIAS: Final = frozenset({"qwen2", "qwen2_moe"})
"""Architectures whose query, key and value projections have a bias without saying so in their config."""
_WITH_HEAD_NORM: Final = frozenset({"qwen3"})
"""Architectures that normalise queries and keys."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a model of the Llama family (Llama, Mistral, Qwen2, Qwen3): SwiGLU, RMSNorm, grouped queries."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    tied: bool
    """Whether the embeddings are the head too."""
    bias: bool = False
    """Whether query, key and value projections have a bias."""
    head_norm: bool = False
    family: str = "llama"
    positions: int | None = None
    """Longest sequence in tokens; None if unknown."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read the shape from the content of a `config.json`.

        Raises:
            KeyError: a size is missing: not a decoder of this kind.
        """
        config = config.get("text_config") or config
        heads = int(config["num_attention_heads"])
        hidden = int(config["hidden_size"])
        family = str(config.get("model_type", "llama"))
        return cls(
            hidden=hidden,
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_size=int(config.get("head_dim") or hidden // heads),
            intermediate=int(config["intermediate_size"]),
            vocabulary=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            bias=bool(config.get("attention_bias", family in _WITH_BIAS)),
            head_norm=family in _WITH_HEAD_NORM,
            family=family,
            positions=config.get("max_position_embeddings"),
        )

    @property
    def embedding(self) -> int:
        """Parameters of the embeddings, and of a head of its own."""
        return self.vocabulary * self.hidden

    @property
    def query(self) -> int:
        """Width of the queries of a token."""
        return self.heads * self.head_size

    @property
    def key(self) -> int:
        """Width of the keys of a token, and of its values."""
        return self.kv_heads * self.head_size

    @property
    def layer(self) -> int:
        """Parameters of a decoder layer."""
        wide = self.query + 2 * self.key
        attention = self.hidden * (wide + self.query) + (wide if self.bias else 0)
        norms = 2 * self.hidden + (2 * self.head_size if self.head_norm else 0)
        return attention + 3 * self.hidden * self.intermediate + norms

    @property
    def backbone(self) -> int:
        """Parameters without a head."""
        return self.embedding + self.layers * self.layer + self.hidden

    @property
    def parameters(self) -> int:
        """Parameters of the language model; a tied head is counted once."""
        return self.backbone + (0 if self.tied else self.embedding)


@cache
def _known_models() -> dict[str, dict[str, Any]]:
    return dict(json.loads(resources.files(__package__).joinpath(_KNOWN).read_text("utf-8")))


def known_shape(name: str) -> ModelShape | None:
    """Return the shape of a well-known model by its name on the hub, in any case; None if it is not listed."""
    for known, config in _known_models().items():
        if known.lower() == name.lower():
            return ModelShape.from_config(config)
    return None
