"""The memory of the training and sampling stages of a plan, beside the memory of a GPU, and what to change."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from jobs.planning.types import RecipePlan, StageInstance
from jobs.recipe.resources import memory_bytes
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError
from pipelines.files import expand_user, read_json
from pipelines.hub_cache import cached_config
from pipelines.stages.builtin import find_kind
from pipelines.stages.settings import with_settings
from pipelines.training.memory.advice import advise
from pipelines.training.memory.estimate import ESTIMATES, MemoryEstimate, estimate_stage
from pipelines.training.memory.parts import ProcessLayout
from pipelines.training.memory.shape import ModelShape, known_shape
from pipelines.training.shipped import SHIPPED_NAMES, shipped_model
from pipelines.wording import bytes_text

_ASSUMED_VOCABULARY: Final = 1000


@dataclass(frozen=True, slots=True)
class StageMemory:
    """The estimate for stages of one name that need the same."""

    name: str
    keys: tuple[str, ...]
    model: str
    """What is known of the model, in words."""
    estimate: MemoryEstimate | None
    reason: str = ""
    """Why there is no estimate."""
    limit: int | None = None
    """Bytes that a process may use: of its GPU, or its share of `memory`; None if unknown."""
    advice: tuple[str, ...] = ()
    """What to change, if it does not fit."""

    @property
    def fits(self) -> bool | None:
        """Whether the estimate is within the limit; None if one of them is unknown."""
        if self.estimate is None or self.limit is None:
            return None
        return self.estimate.fits(self.limit)


def estimate_plan(
    plan: RecipePlan, stages: Iterable[StageInstance], workspace: Workspace, *, gpu_bytes: int | None = None
) -> list[StageMemory]:
    """Estimate every training and sampling stage; equal ones of several cells once.

    Args:
        plan: the whole plan, which has the inputs of the stages.
        stages: those to estimate.
        workspace: where finished stages have models.
        gpu_bytes: memory of one GPU; by default that of each stage's resources.
    """
    found: dict[tuple[str, str], StageMemory] = {}
    for stage in stages:
        if stage.kind not in ESTIMATES:
            continue
        one = _estimate(plan, stage, workspace, gpu_bytes)
        if one is None:
            continue
        same = (stage.name, repr(replace(one, keys=())))
        keys = (*found[same].keys, stage.key) if same in found else (stage.key,)
        found[same] = replace(one, keys=keys)
    return list(found.values())


def memory_notes(plan: RecipePlan, stages: Iterable[StageInstance], workspace: Workspace) -> list[str]:
    """Return which stages need more than the memory that their resources state, in words."""
    return [
        f"{one.name} needs {bytes_text(one.estimate.peak)} by the estimate and has {bytes_text(one.limit)}"
        + (f", and vLLM's share lacks {bytes_text(one.estimate.shortfall)}" if one.estimate.shortfall else "")
        + ": cogtui plan RECIPE --memory says what to change"
        for one in estimate_plan(plan, stages, workspace)
        if one.estimate is not None and one.limit is not None and not one.fits
    ]


def _estimate(
    plan: RecipePlan, stage: StageInstance, workspace: Workspace, gpu_bytes: int | None
) -> StageMemory | None:
    resources = stage.resources
    per_gpu = gpu_bytes if gpu_bytes is not None else memory_bytes(resources.gpu_memory)
    layout = ProcessLayout(
        "cuda" if resources.gpus else "cpu", resources.processes * resources.nodes, per_gpu if resources.gpus else None
    )
    shape, model = model_of_stage(plan, stage, workspace)
    if shape is None:
        return StageMemory(stage.name, (stage.key,), model, None, model)
    config = _attempt_config(stage)
    estimate = estimate_stage(stage.kind, config, shape, layout)
    if estimate is None:
        if stage.kind == "base":
            return None  # it copies a model
        return StageMemory(stage.name, (stage.key,), model, None, "verl's memory is not estimated")
    if estimate.layout.device == "cuda":
        limit = per_gpu
    else:
        asked = memory_bytes(resources.memory)
        limit = None if asked is None else asked // resources.processes
    advice: tuple[str, ...] = ()
    if limit is not None and not estimate.fits(limit):
        advice = tuple(advise(stage.name, stage.kind, config, shape, layout, limit))
    return StageMemory(stage.name, (stage.key,), model, estimate, limit=limit, advice=advice)


def _attempt_config(stage: StageInstance) -> dict[str, Any]:
    """Return the config of the stage with the settings of the attempt to start, which `--set` may have changed."""
    kind = find_kind(stage.kind)
    if kind is None or stage.settings is None:
        return stage.config
    return with_settings(kind.config_model(), stage.config, stage.settings)


def model_of_stage(plan: RecipePlan, stage: StageInstance, workspace: Workspace) -> tuple[ModelShape | None, str]:
    """Return the shape of the model that a stage trains or samples, with words for it, or for what is unknown."""
    if stage.kind == "base":
        return _of_base(stage.config, stage.resources.environment, workspace.folder(stage.key).path)
    for key in stage.inputs:
        upstream = plan.instance(key)
        kind = find_kind(upstream.kind)
        if kind is not None and kind.makes_model:
            return model_of_stage(plan, upstream, workspace)
    return None, "no stage before it makes a model"


def _of_base(config: Mapping[str, Any], environment: Mapping[str, str], folder: Path) -> tuple[ModelShape | None, str]:
    pretrained = config.get("pretrained")
    for name, described in _configs(pretrained, config.get("revision"), environment, folder):
        shape = _shape(described)
        if shape is not None:
            return shape, _words(name, shape)
    if pretrained is not None:
        shape = known_shape(pretrained)
        if shape is not None:
            return shape, _words(pretrained, shape)
        return None, f"the sizes of {pretrained} are unknown here: cogtui fetch {pretrained} --config-only"
    architecture = dict(config.get("architecture") or {})
    vocabulary = (config.get("tokenizer") or {}).get("max_number") or _ASSUMED_VOCABULARY
    shape = ModelShape.from_config(
        {
            "model_type": architecture["family"],
            "hidden_size": architecture["hidden_size"],
            "num_hidden_layers": architecture["layers"],
            "num_attention_heads": architecture["heads"],
            "num_key_value_heads": architecture.get("kv_heads"),
            "intermediate_size": architecture["intermediate_size"],
            "vocab_size": vocabulary,
            "max_position_embeddings": architecture["max_positions"],
            "tie_word_embeddings": architecture["tie_embeddings"],
        }
    )
    return shape, f"{_words('made here', shape)}, a vocabulary of {vocabulary:,} assumed"


def _configs(
    pretrained: str | None, revision: str | None, environment: Mapping[str, str], folder: Path
) -> Iterator[tuple[str, Any]]:
    """Iterate over the places where a `config.json` may be, the model of the finished stage first."""
    name = pretrained or "made here"
    yield name, _read(folder / "artifacts" / "model" / "config.json")
    if pretrained is None:
        return
    if pretrained in SHIPPED_NAMES:
        yield name, _read(shipped_model(pretrained).folder / "config.json")
        return
    with contextlib.suppress(CogtuiError):
        yield name, _read(expand_user(Path(pretrained)) / "config.json")
    yield name, cached_config(pretrained, revision, {**os.environ, **environment})


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except CogtuiError:
        return None


def _shape(config: Any) -> ModelShape | None:
    try:
        return ModelShape.from_config(config) if config else None
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _words(name: str, shape: ModelShape) -> str:
    count = shape.parameters
    said = f"{count / 1e9:.2f} billion" if count >= 1e9 else f"{count / 1e6:.1f} million"
    return f"{name}: {said} parameters"
