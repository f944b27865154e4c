"""Bytes of the parts of a training process: activations, logits, key-value cache. Each formula names what it counts."""

from typing import Final, Literal, NamedTuple

from pipelines.training.memory.shape import ModelShape

FLOAT32: Final = 4
BYTES_OF_LOGITS_AT_ONCE: Final = 512 * 2**20
"""As `LOGITS_BYTES` of the PPO networks; a test compares them."""
FUSED_BYTES: Final = 256 * 2**20
"""As the bound of the fused decoder; a test compares them."""


class ProcessLayout(NamedTuple):
    """Where the processes of a stage run."""

    device: Literal["cpu", "cuda"]
    processes: int = 1
    """Of the whole stage, one per GPU."""
    gpu_bytes: int | None = None
    """Memory of one GPU; None if unknown."""


def saved_activations(shape: ModelShape, compute: int) -> int:
    """Return what a decoder layer keeps for its backward pass, in bytes a token.

    Each of the two norms: its input and the normalised input in float32, its output in the number type of the
    computation. Attention: rotated queries and keys, values, its output, a float32 for each head. MLP: gate, its SiLU,
    up projection, their product.

    Args:
        shape: of the model.
        compute: bytes of a number in a forward pass.
    """
    norms = 2 * (2 * FLOAT32 + compute) * shape.hidden
    attention = compute * 2 * (shape.query + shape.key) + FLOAT32 * shape.heads
    return norms + attention + 4 * compute * shape.intermediate


def activations(shape: ModelShape, tokens: int, compute: int, *, recompute: bool) -> int:
    """Return what a forward pass keeps for the backward pass.

    Args:
        shape: of the model.
        tokens: of the micro-batch, padding included.
        compute: bytes of a number in a forward pass.
        recompute: whether layers keep only their inputs, and one at a time the rest.
    """
    layer = saved_activations(shape, compute)
    ends = (2 * FLOAT32 + compute) * shape.hidden  # embeddings' output and the last norm
    if recompute:
        inputs = shape.layers * FLOAT32 * shape.hidden
        return tokens * (inputs + ends + layer + compute * shape.intermediate)
    return tokens * (shape.layers * layer + ends)


def pass_peak(shape: ModelShape, kept: int, scored: int, compute: int) -> int:
    """Return the most that a forward and backward pass of a policy holds, without weights and their gradients.

    In the backward pass log-probabilities and probabilities exist beside three gradients of their size. Logits
    in several parts add to one gradient of the head. The gradient of tied embeddings comes in two halves, which
    exist together at its end.

    Args:
        shape: of the model.
        kept: bytes of `activations`.
        scored: tokens whose logits are needed.
        compute: bytes of a number in a forward pass.
    """
    at_once = scored_at_once(shape, scored)
    logits = FLOAT32 * shape.vocabulary * at_once
    head = compute * shape.embedding
    scoring = 5 * logits + (head if at_once < scored else 0)
    return max(kept + scoring, kept + 3 * logits + head, (2 if shape.tied else 1) * FLOAT32 * shape.embedding)


def scored_at_once(shape: ModelShape, tokens: int) -> int:
    """Return how many of these tokens have their logits computed at once in PPO."""
    return min(tokens, max(1, BYTES_OF_LOGITS_AT_ONCE // (FLOAT32 * shape.vocabulary)))


def cache_bytes(shape: ModelShape, rows: int, length: int, compute: int) -> int:
    """Return the bytes of keys and values of all layers, for rows of `length` tokens."""
    return rows * length * shape.layers * 2 * shape.key * compute


def is_fused(shape: ModelShape, layout: ProcessLayout, compute: int) -> bool:
    """Return whether the row-dropping loop uses its fused decoder, which copies weights."""
    small = FLOAT32 * shape.parameters <= FUSED_BYTES
    return layout.device == "cpu" and compute == FLOAT32 and shape.family in ("llama", "qwen2") and small


def decoding_peak(
    shape: ModelShape, rows: int, prompt: int, new: int, compute: int, *, fused: bool, drops: bool
) -> tuple[int, int]:
    """Return the bytes of the key-value cache and those of everything else that generation holds at most.

    Args:
        shape: of the model.
        rows: completions generated together.
        prompt: tokens of a prompt.
        new: most tokens of a completion.
        compute: bytes of a number in a forward pass.
        fused: whether the fused decoder runs.
        drops: whether tokens are sampled by the row-dropping loop, in float64.
    """
    cache = cache_bytes(shape, rows, prompt + new, compute)
    of_prompts = cache_bytes(shape, rows, prompt, compute)
    sampled = min(rows, max(1, BYTES_OF_LOGITS_AT_ONCE // (8 * shape.vocabulary)))
    sampling = shape.vocabulary * (rows * compute + (3 * 8 * sampled if drops else 3 * FLOAT32 * rows))
    reading = of_prompts + rows * prompt * compute * (3 * shape.intermediate + 4 * shape.hidden)
    copied = 0
    growing = cache // (2 * shape.layers)  # a tensor is copied to append to it
    if fused:
        joined = shape.hidden * (shape.query + 2 * shape.key + 2 * shape.intermediate)
        copied = FLOAT32 * (shape.layers * joined + shape.embedding)
        growing = 0  # the cache has room for all tokens from the start, into which those of the prompts are copied
        reading = max(reading, cache + of_prompts)
    return cache, copied + 8 * rows * new + max(reading - cache, growing + sampling)
