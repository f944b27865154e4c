"""The memory of a stage in each of its processes, by part, in the two phases that hold most: update and generation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pipelines.training.core.configs import (
    BaseConfig,
    PPOConfig,
    PretrainConfig,
    PrimeConfig,
    SampleConfig,
    SupervisedConfig,
    TrainingConfig,
)
from pipelines.training.core.engine_configs import EngineConfig
from pipelines.training.memory.parts import (
    FLOAT32,
    ProcessLayout,
    activations,
    decoding_peak,
    is_fused,
    pass_peak,
)
from pipelines.training.memory.shape import ModelShape
from pipelines.wording import bytes_text

CPU_TOKENS: Final = 1536
CUDA_TOKENS: Final = 16384
"""Tokens of a micro-batch where the config sets no size: as `MICRO_BATCH_TOKENS` of PPO; a test compares them."""
CONTEXT_BYTES: Final = 2**30
"""CUDA's context and libraries in a process, and what the allocator loses: assumed, not measured."""
_TILE: Final = (4096, 32768)
"""Tokens and vocabulary of a tile of logits in TRL's trainers."""


class MemoryPart(NamedTuple):
    """Bytes of a part of a process in each phase; None where the part does not exist."""

    name: str
    update: int | None
    generation: int | None
    note: str = ""
    lacks: int = 0
    """Bytes that the engine's share of the GPU lacks for the weights alone: it cannot start."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """What each process of a stage holds at most on its device."""

    layout: ProcessLayout
    parts: tuple[MemoryPart, ...]
    host: tuple[int, ...] = ()
    """On a GPU: bytes of tensors in the host memory of the first process, and of each other one, while loading or
    saving. On a CPU the parts are in it."""
    notes: tuple[str, ...] = ()

    @property
    def update(self) -> int | None:
        """Bytes during an update; None if the stage has none."""
        return _sum(part.update for part in self.parts)

    @property
    def generation(self) -> int | None:
        """Bytes during generation; None if the stage has none."""
        return _sum(part.generation for part in self.parts)

    @property
    def peak(self) -> int:
        """Bytes of the larger phase."""
        return max(self.update or 0, self.generation or 0)

    @property
    def shortfall(self) -> int:
        """Bytes that the engine lacks to start, whatever the GPU's size."""
        return max((part.lacks for part in self.parts), default=0)

    def fits(self, limit: int) -> bool:
        """Return whether a process of `limit` bytes can run it."""
        return self.peak <= limit and not self.shortfall

    @property
    def host_of_node(self) -> int:
        """Bytes of tensors in the host memory of all processes together, for a stage on one node."""
        if self.layout.device == "cpu":
            return self.peak * self.layout.processes
        return sum(self.host[:1]) + (self.layout.processes - 1) * (self.host[1] if len(self.host) > 1 else 0)


def estimate_stage(
    kind: str, config: Mapping[str, Any], shape: ModelShape, layout: ProcessLayout
) -> MemoryEstimate | None:
    """Estimate a stage.

    Args:
        kind: its kind.
        config: its config as plain values.
        shape: of the model it trains or samples.
        layout: of its processes.

    Returns:
        The estimate; None for a kind that has none.
    """
    known = ESTIMATES.get(kind)
    if known is None:
        return None
    model, function = known
    checked = model.model_validate(dict(config))
    if checked.device == "cpu":
        layout = layout._replace(device="cpu")
    found: MemoryEstimate | None = function(checked, shape, layout)
    return found


def _sum(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _compute_bytes(config: TrainingConfig, layout: ProcessLayout) -> int:
    if config.dtype == "auto":
        return 2 if layout.device == "cuda" else FLOAT32
    return FLOAT32 if config.dtype == "float32" else 2


def _ppo(config: PPOConfig, shape: ModelShape, layout: ProcessLayout) -> MemoryEstimate | None:
    if config.engine.name == "verl":
        return None
    if config.algorithm == "grpo":
        return _grpo(config, shape, layout)
    sharded = config.sharding == "fsdp"
    processes = layout.processes if sharded else 1
    compute = _compute_bytes(config, layout)
    policy, critic = shape.parameters, shape.backbone + shape.hidden + 1
    actor_rows, critic_rows = (-(-config.mini_batch_of(each) // processes) for each in ("actor", "critic"))
    length = config.longest_sequence()
    budget = CUDA_TOKENS if layout.device == "cuda" else CPU_TOKENS
    rows = config.micro_batch or max(1, budget // length)

    def kept(of_network: int) -> int:
        return activations(shape, min(rows, of_network) * length, compute, recompute=config.recompute)

    scored = min(rows, actor_rows) * (length - config.max_prompt_tokens)
    passing = pass_peak(shape, kept(actor_rows), scored, compute)
    gathered = 0
    if sharded and processes > 1:
        # Embeddings of all networks stay gathered after a forward pass, beside two layers of one.
        roots = (3 if config.kl else 2) * shape.embedding
        gathered = compute * (roots + 2 * shape.layer) + (compute + FLOAT32) * shape.embedding
    elif compute < FLOAT32:
        gathered = compute * shape.parameters  # autocast's copies of the weights
    joint = actor_rows == critic_rows
    policy_gradients, critic_gradients = FLOAT32 * policy // processes, FLOAT32 * critic // processes
    stepping = _optimizer_scratch(shape, policy, layout, sharded=processes > 1)
    # Gradients are there during a pass if the micro-batch is not the first since the last optimizer step.
    actor_repeats, critic_repeats = actor_rows > rows, critic_rows > rows
    both = policy_gradients + (critic_gradients if joint else 0)
    moments = [
        (passing + gathered, both if actor_repeats else 0),
        (
            kept(critic_rows) + gathered,
            (policy_gradients if joint else 0) + (critic_gradients if critic_repeats else 0),
        ),
        (stepping, max(both, critic_gradients)),
    ]
    working, gradients = max(moments, key=sum)
    weights = FLOAT32 * (policy + critic + (policy if config.kl else 0)) // processes
    states = 2 * FLOAT32 * (policy + critic) // processes
    sampled = config.prompts * config.rollouts // processes
    engine, engine_notes = _engine(config.engine, shape, layout, compute, sampled, config, sharded=processes > 1)
    names = "policy, critic and reference" if config.kl else "policy and critic"
    share = f", 1/{processes} of each" if processes > 1 else ""
    asleep = config.engine.name == "vllm" and config.engine.vllm.mode == "colocate" and not config.engine.vllm.sleep
    resident = next((part.generation for part in engine if part.name == "vLLM"), None) if asleep else None
    parts = (
        MemoryPart("weights", weights, weights, f"{names} in float32{share}"),
        MemoryPart("optimizer", states, states, "two float32 for each weight that learns"),
        MemoryPart("gradients", gradients, None, "float32"),
        MemoryPart(
            "activations",
            max(0, working - gathered),
            None,
            f"micro-batches of {min(rows, max(actor_rows, critic_rows))} × {length} tokens, with logits"
            + (", recomputed" if config.recompute else ""),
        ),
        *([MemoryPart("gathered weights", gathered, None, "for a forward pass")] if gathered else []),
        *(part._replace(update=resident) if part.name == "vLLM" else part for part in engine),
        *_context(layout),
    )
    whole = FLOAT32 * policy
    slices = FLOAT32 * max(shape.embedding, shape.hidden * shape.intermediate) // processes
    return MemoryEstimate(
        layout._replace(processes=processes),
        parts,
        (whole, slices) if layout.device == "cuda" else (),
        engine_notes,
    )


def _grpo(config: PPOConfig, shape: ModelShape, layout: ProcessLayout) -> MemoryEstimate:
    layout = layout._replace(processes=1)
    compute = _compute_bytes(config, layout)
    micro = config.micro_batch or config.mini_batch_of("actor")
    recompute = config.recompute or layout.device == "cuda"
    reference = FLOAT32 * shape.parameters if config.kl else 0
    training = _trl_parts(shape, layout, compute, micro, config.longest_sequence(), recompute, reference)
    sampled = config.prompts * config.rollouts
    engine, notes = _engine(config.engine, shape, layout, compute, sampled, config, sharded=False)
    return MemoryEstimate(layout, (*training, *engine, *_context(layout)), _host_of_one(shape, layout), notes)


def _supervised(config: SupervisedConfig, shape: ModelShape, layout: ProcessLayout) -> MemoryEstimate:
    assert isinstance(config, PrimeConfig | PretrainConfig)
    layout = layout._replace(processes=1)
    compute = _compute_bytes(config, layout)
    micro = config.micro_batch or config.batch_size
    recompute = layout.device == "cuda"
    length = min(config.max_tokens, shape.positions or config.max_tokens)
    parts = _trl_parts(shape, layout, compute, micro, length, recompute, 0)
    notes = (f"texts of {length} tokens are assumed; shorter ones need less",)
    training = tuple(part._replace(generation=None) for part in parts)
    return MemoryEstimate(layout, (*training, *_context(layout, generates=False)), _host_of_one(shape, layout), notes)


def _trl_parts(
    shape: ModelShape, layout: ProcessLayout, compute: int, micro: int, length: int, recompute: bool, reference: int
) -> tuple[MemoryPart, ...]:
    """Return weights, optimizer, gradients and activations of a training with TRL; its logits come in tiles."""
    parameters = shape.parameters
    tokens = micro * length
    kept = activations(shape, tokens, compute, recompute=recompute)
    buffer = min(tokens, _TILE[0]) * _TILE[1] * compute
    # Without Triton, as on a CPU, seven tensors of a tile in float32 exist beside the buffer.
    tile = min(tokens, _TILE[0]) * min(shape.vocabulary, _TILE[1]) * FLOAT32
    head = FLOAT32 * (shape.embedding + tokens * shape.hidden)
    tiles = buffer + (0 if layout.device == "cuda" else 7 * tile)
    copies = compute * parameters if compute < FLOAT32 else 0
    scratch = _optimizer_scratch(shape, parameters, layout, sharded=False)
    working = max(kept + head + tiles, scratch, (2 if shape.tied else 1) * FLOAT32 * shape.embedding)
    weights = FLOAT32 * parameters + reference
    return (
        MemoryPart("weights", weights, weights, "float32" + (", with the reference" if reference else "")),
        MemoryPart("optimizer", 2 * FLOAT32 * parameters, 2 * FLOAT32 * parameters, "two float32 for each weight"),
        MemoryPart("gradients", FLOAT32 * parameters, None, "float32"),
        MemoryPart(
            "activations",
            working,
            None,
            f"micro-batches of {micro} × {length} tokens, with logits" + (", recomputed" if recompute else ""),
        ),
        *([MemoryPart("gathered weights", copies, None, "autocast's copies in bfloat16")] if copies else []),
    )


def _sample(config: SampleConfig, shape: ModelShape, layout: ProcessLayout) -> MemoryEstimate:
    compute = _compute_bytes(config, layout)
    layout = layout._replace(processes=1)
    engine, notes = _engine(config.engine, shape, layout, compute, config.batch, config, sharded=False)
    if config.engine.name == "vllm":
        return MemoryEstimate(layout, (*engine, *_context(layout, updates=False)), (0,), notes)
    weights = MemoryPart("weights", None, FLOAT32 * shape.parameters, "float32")
    return MemoryEstimate(
        layout, (weights, *engine, *_context(layout, updates=False)), _host_of_one(shape, layout), notes
    )


def _engine(
    engine: EngineConfig,
    shape: ModelShape,
    layout: ProcessLayout,
    compute: int,
    rows: int,
    config: PPOConfig | SampleConfig,
    *,
    sharded: bool,
) -> tuple[tuple[MemoryPart, ...], tuple[str, ...]]:
    """Return the parts of generation in a process that samples this many rows, and notes."""
    if engine.name == "vllm":
        if engine.vllm.mode == "server":
            return (), ("the server has GPUs of its own, of which it uses engine.vllm.gpu_memory",)
        if layout.gpu_bytes is None:
            return (), (f"vLLM takes {engine.vllm.gpu_memory:g} of the GPU's memory besides (engine.vllm.gpu_memory)",)
        share = int(engine.vllm.gpu_memory * layout.gpu_bytes)
        asleep = ", freed during updates" if engine.vllm.sleep else ""
        own = compute * shape.parameters // engine.vllm.tensor_parallel
        notes = (
            ()
            if own < share
            else (f"vLLM's weights alone take {bytes_text(own)}, more than engine.vllm.gpu_memory gives it",)
        )
        words = f"weights and KV cache, engine.vllm.gpu_memory{asleep}"
        return (MemoryPart("vLLM", None, share, words, max(0, own - share + 1)),), notes
    drops = engine.name == "dropping" or (engine.name == "auto" and layout.device == "cpu")
    rows = min(rows, engine.batch or rows)
    fused = drops and not sharded and is_fused(shape, layout, compute)
    prompt, new = config.max_prompt_tokens, config.sampling.max_new_tokens
    cache, rest = decoding_peak(shape, rows, prompt, new, compute, fused=fused, drops=drops)
    copy = compute * shape.parameters if sharded or compute < FLOAT32 else 0
    return (
        *([MemoryPart("copy for generation", None if not sharded else copy, copy, "")] if copy else []),
        MemoryPart("KV cache", None, cache, f"{rows} rows of {prompt + new} tokens"),
        MemoryPart("decoding", None, rest, "logits, sampling, copies"),
    ), ()


def _optimizer_scratch(shape: ModelShape, parameters: int, layout: ProcessLayout, *, sharded: bool) -> int:
    """Return what a step of AdamW allocates: on one GPU a tensor for each weight, else two of the largest."""
    if layout.device == "cuda" and not sharded:
        return FLOAT32 * parameters
    return 2 * FLOAT32 * max(shape.embedding, shape.hidden * shape.intermediate) // layout.processes


def _context(layout: ProcessLayout, *, updates: bool = True, generates: bool = True) -> tuple[MemoryPart, ...]:
    if layout.device == "cpu":
        return ()
    phases = (CONTEXT_BYTES if updates else None, CONTEXT_BYTES if generates else None)
    return (MemoryPart("CUDA", *phases, "context and allocator, assumed"),)


def _host_of_one(shape: ModelShape, layout: ProcessLayout) -> tuple[int, ...]:
    return (FLOAT32 * shape.parameters,) if layout.device == "cuda" else ()


def _base(config: BaseConfig, shape: ModelShape, layout: ProcessLayout) -> MemoryEstimate | None:
    if config.pretrained is not None or config.pretraining is None:
        return None
    layout = layout._replace(processes=1)
    compute = _compute_bytes(config, layout)
    training = config.pretraining
    tokens = (training.linear + training.documents + training.worksheets) * training.text_tokens
    kept = activations(shape, tokens, compute, recompute=False)
    working = kept + 5 * FLOAT32 * shape.vocabulary * tokens + FLOAT32 * shape.embedding
    weights = FLOAT32 * shape.parameters
    parts = (
        MemoryPart("weights", weights, None, "float32"),
        MemoryPart("optimizer", 2 * weights, None, "two float32 for each weight"),
        MemoryPart("gradients", weights, None, "float32"),
        MemoryPart("activations", working, None, f"{tokens} tokens a step, with logits"),
    )
    notes = (f"texts of {training.text_tokens} tokens are assumed (pretraining.text_tokens)",)
    return MemoryEstimate(layout, (*parts, *_context(layout, generates=False)), (), notes)


ESTIMATES: Final[Mapping[str, tuple[type[TrainingConfig], Callable[..., MemoryEstimate | None]]]] = {
    "base": (BaseConfig, _base),
    "prime": (PrimeConfig, _supervised),
    "pretrain": (PretrainConfig, _supervised),
    "ppo": (PPOConfig, _ppo),
    "sample": (SampleConfig, _sample),
}
"""Kind → its config model, and the function that estimates it."""
