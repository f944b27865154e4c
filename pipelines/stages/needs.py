"""What a stage of a given config needs of the machine: packages, keys, files. Checked before any stage starts.

A kind declares `packages` that every stage of it imports, and a function `needs` for those that depend on its config.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

_SERVICES: Final[Mapping[str, tuple[str, str]]] = {
    "openai": ("openai", "OPENAI_API_KEY"),
    "anthropic": ("anthropic", "ANTHROPIC_API_KEY"),
    "vllm": ("openai", ""),
}
"""Provider of a model → package of its SDK, environment variable of its key (`pipelines/llm/clients/protocol.py`)."""
_MODEL_FIELDS: Final = frozenset({"judge", "teacher", "rewrite", "model"})


class StageNeed(NamedTuple):
    """One thing a stage cannot run without."""

    sort: Literal["package", "key", "path", "model"]
    name: str
    """Import name of the package, name of the environment variable, path, or OWNER/NAME[@REVISION] on the hub."""
    remedy: str


def stage_needs(kind: Any, config: Mapping[str, Any]) -> list[StageNeed]:
    """Return what a stage needs.

    Args:
        kind: its `StageKind`.
        config: its config as plain values.
    """
    extra = kind.extra
    found = [
        StageNeed("package", name, _install(extra) if extra else f"Install it: pip install {name}")
        for name in kind.packages
    ]
    found += kind.needs_of(config)
    found += _model_needs(config)
    return list(dict.fromkeys(found))


def _install(extra: str) -> str:
    return f"Install the extra: pip install 'cogtui[{extra}]'"


def _model_needs(config: Mapping[str, Any]) -> Iterator[StageNeed]:
    """Iterate over the needs of the model services that a config names, at any depth."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _model_needs(value)
        elif isinstance(value, str) and name in _MODEL_FIELDS and value.partition(":")[0] in _SERVICES:
            provider = value.partition(":")[0]
            package, variable = _SERVICES[provider]
            if config.get("offline") is not None:
                yield StageNeed("package", "vllm", _install("vllm"))
                continue
            yield StageNeed("package", package, _install("judges"))
            if variable:
                yield StageNeed("key", variable, f"Set {variable} in the shell that starts the stage.")


def classify_needs(config: Mapping[str, Any]) -> list[StageNeed]:
    """Return what a `classify` stage needs beyond its judge: the detection of languages."""
    if not config.get("language"):
        return []
    return [StageNeed("package", "py3langid", f'{_install("corpus")}, or set language = "" to accept all.')]


def curate_needs(config: Mapping[str, Any]) -> list[StageNeed]:
    """Return what a `curate` stage needs: near duplicates."""
    if float(config.get("near_duplicates", 1)) >= 1:
        return []
    return [StageNeed("package", "rensa", f"{_install('corpus')}, or set near_duplicates = 1 for exact ones only.")]


def engine_needs(config: Mapping[str, Any]) -> list[StageNeed]:
    """Return what the engine of a `ppo` or `sample` stage needs, and TRL for GRPO."""
    engine = config.get("engine")
    found = []
    if isinstance(engine, Mapping) and engine.get("name") == "vllm":
        found.append(StageNeed("package", "vllm", _install("vllm")))
    if engine_launches_itself(config):
        found.append(StageNeed("package", "pyarrow", _install("export")))
    if config.get("algorithm") == "grpo":
        found.append(StageNeed("package", "trl", _install("train")))
    return found


def engine_launches_itself(config: Mapping[str, Any]) -> bool:
    """Return whether the engine of a `ppo` stage starts the processes of a node: verl does, by Ray."""
    engine = config.get("engine")
    return isinstance(engine, Mapping) and engine.get("name") == "verl"
