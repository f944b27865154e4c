"""Models in the cache of the Hugging Face hub, found by its published layout: nothing heavy is imported.

`models--OWNER--NAME/refs/REVISION` names a commit, and `snapshots/COMMIT/` has the files.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipelines.errors import InvalidInput
from pipelines.files import read_json

OFFLINE_VARIABLE: Final = "HF_HUB_OFFLINE"
_TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
_WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")


def is_offline(environment: Mapping[str, str]) -> bool | None:
    """Return whether HF_HUB_OFFLINE forbids huggingface_hub to reach the hub; None if it is not set."""
    value = environment.get(OFFLINE_VARIABLE, "").strip().upper()
    return value in ("1", "ON", "YES", "TRUE") if value else None


def hub_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the cache, by the variables that huggingface_hub reads."""
    if environment.get("HF_HUB_CACHE"):
        return Path(environment["HF_HUB_CACHE"]).expanduser()
    if environment.get("HF_HOME"):
        return Path(environment["HF_HOME"]).expanduser() / "hub"
    cache = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".cache"
    return Path(cache) / "huggingface" / "hub"


def cached_snapshot(name: str, revision: str | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of a model's files in the cache, complete or not; None if there is none.

    Args:
        name: OWNER/NAME.
        revision: a commit, branch or tag; by default `main`.
        environment: where the variables of the cache are looked up.
    """
    folder = hub_cache(environment) / f"models--{name.replace('/', '--')}"
    wanted = revision or "main"
    with contextlib.suppress(OSError, ValueError):  # it may be a commit itself
        wanted = (folder / "refs" / wanted).read_text("utf-8").strip()
    found = folder / "snapshots" / wanted
    return found if found.is_dir() else None


def missing_files(snapshot: Path) -> list[str]:
    """Return what a snapshot lacks to be loaded as a model with its tokenizer; links to nothing count as missing."""
    missing = [] if (snapshot / "config.json").is_file() else ["config.json"]
    if not any((snapshot / name).is_file() for name in _TOKENIZERS):
        missing.append("tokenizer.json")
    for name in _WEIGHTS:
        if (snapshot / name).is_file():
            return missing
        index = _read(snapshot / f"{name}.index.json")
        parts = sorted(set(index.get("weight_map", {}).values())) if index else []
        if parts:
            return [*missing, *(part for part in parts if not (snapshot / part).is_file())]
    return [*missing, _WEIGHTS[0]]


def cached_config(name: str, revision: str | None, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the `config.json` of a model in the cache; empty if it is not there."""
    snapshot = cached_snapshot(name, revision, environment)
    return {} if snapshot is None else _read(snapshot / "config.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except InvalidInput:
        return {}
    return found if isinstance(found, dict) else {}
