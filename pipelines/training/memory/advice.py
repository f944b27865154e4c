"""What to change in a stage that does not fit: each change is tried on the estimate."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.training.memory.estimate import estimate_stage
from pipelines.training.memory.parts import ProcessLayout
from pipelines.training.memory.shape import ModelShape
from pipelines.wording import bytes_text

_PROCESSES = (2, 4, 8, 16, 32, 64)
_MICRO_BATCHES = (64, 32, 16, 8, 4, 2, 1)
_GPU_MEMORY = (0.3, 0.2, 0.15, 0.1)
_MORE_GPU_MEMORY = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def advise(
    name: str, kind: str, config: Mapping[str, Any], shape: ModelShape, layout: ProcessLayout, limit: int
) -> Iterator[str]:
    """Iterate over changes of a stage after which it fits; if no single one suffices, one line with several.

    Args:
        name: of the stage in the recipe.
        kind: its kind.
        config: its config as plain values.
        shape: of its model.
        layout: of its processes.
        limit: bytes that a process may use.
    """

    def peak(changed: Mapping[str, Any], over: ProcessLayout) -> int:
        found = estimate_stage(kind, changed, shape, over)
        if found is None:
            return 0
        return found.peak if not found.shortfall else max(found.peak, limit) + found.shortfall

    now, where, said = dict(config), layout, []
    before = peak(now, where)
    given: set[str] = set()
    for words, changed, over in _changes(name, kind, now, where):
        setting = words.partition("=")[0]
        if setting in given:
            continue  # a larger size of it fits already
        after = peak(changed, over)
        if after <= limit:
            given.add(setting)
            yield f"{words}: {bytes_text(after)}"
    if given:
        return
    for _ in range(4):
        best = min(
            ((peak(changed, over), words, changed, over) for words, changed, over in _changes(name, kind, now, where)),
            key=lambda each: each[0],
            default=None,
        )
        if best is None or best[0] >= before:
            break
        before, words, now, where = best[0], best[1], dict(best[2]), best[3]
        said.append(words)
        if before <= limit:
            yield f"{' and '.join(said)}: {bytes_text(before)}"
            return
    together = f" ({' and '.join(said)}: {bytes_text(before)})" if said else ""
    yield f"nothing that can be set makes it fit{together}: a smaller model, or GPUs with more memory"


def _changes(
    name: str, kind: str, config: Mapping[str, Any], layout: ProcessLayout
) -> Iterator[tuple[str, dict[str, Any], ProcessLayout]]:
    """Iterate over single changes: words, config and layout. Of sizes the largest that helps comes first."""
    field = f"stages.{name}"
    if kind == "ppo" and not config.get("recompute"):
        yield f"{field}.recompute=true", {**config, "recompute": True}, layout
    if kind in ("ppo", "prime", "pretrain"):
        now = config.get("micro_batch") or config.get("batch_size") or 10**6
        for size in _MICRO_BATCHES:
            if size < now and _divides(kind, config, size):
                yield f"{field}.micro_batch={size}", {**config, "micro_batch": size}, layout
    engine = config.get("engine") or {}
    vllm = engine.get("vllm") or {}
    if engine.get("name") == "vllm":
        if kind == "ppo" and not vllm.get("sleep") and layout.device == "cuda":
            changed = {**engine, "vllm": {**vllm, "sleep": True}}
            yield f"{field}.engine.vllm.sleep=true", {**config, "engine": changed}, layout
        given = vllm.get("gpu_memory", 0.3)
        smaller = [share for share in _GPU_MEMORY if share < given]
        for share in (*smaller, *(share for share in _MORE_GPU_MEMORY if share > given)):
            changed = {**engine, "vllm": {**vllm, "gpu_memory": share}}
            yield f"{field}.engine.vllm.gpu_memory={share}", {**config, "engine": changed}, layout
    elif kind in ("ppo", "sample") and engine.get("name") != "verl":
        for size in _MICRO_BATCHES:
            if size < (engine.get("batch") or 10**6):
                yield f"{field}.engine.batch={size}", {**config, "engine": {**engine, "batch": size}}, layout
    if kind == "ppo" and config.get("algorithm") == "ppo" and layout.device == "cuda":
        sharded = {**config, "sharding": "fsdp"}
        unsharded = "" if config.get("sharding") == "fsdp" else f" with {field}.sharding=fsdp"
        for count in _PROCESSES:
            if count > layout.processes:
                words = f"resources.{name}.processes={count} (and gpus={count}){unsharded}"
                yield words, sharded, layout._replace(processes=count)


def _divides(kind: str, config: Mapping[str, Any], size: int) -> bool:
    if kind == "ppo" and config.get("algorithm") != "grpo":
        return True
    whole = config.get("batch_size") or (config.get("actor") or {}).get("mini_batch") or config.get("mini_batch")
    return whole is None or int(whole) % size == 0
