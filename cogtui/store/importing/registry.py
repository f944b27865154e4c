"""The importers by name: one per row layout, built in and from plug-ins."""

from __future__ import annotations

from typing import Final

from cogtui.store.importing.protocol import REQUIRED_MEMBERS, FileSample, RowImporter
from pipelines.plugins import Registry, missing_members

AUTO: Final = "auto"
_LAYOUTS: Final = "cogtui.store.importing.layouts"


def _problem_of(entry: object) -> str | None:
    missing = missing_members(entry, REQUIRED_MEMBERS)
    if missing is not None:
        return missing
    return "it is a class; register an instance" if isinstance(entry, type) else None


IMPORTERS: Final[Registry[RowImporter]] = Registry(
    "cogtui.importers",
    "import format",
    {
        "cogtui": f"{_LAYOUTS}.cogtui:IMPORTER",
        "verl": f"{_LAYOUTS}.verl:IMPORTER",
        "trl": f"{_LAYOUTS}.trl:IMPORTER",
        "areal": f"{_LAYOUTS}.areal:IMPORTER",
        "paper": f"{_LAYOUTS}.paper:IMPORTER",
        "openai": f"{_LAYOUTS}.openai:IMPORTER",
        "chat": f"{_LAYOUTS}.chat:MESSAGES",
        "sharegpt": f"{_LAYOUTS}.chat:SHAREGPT",
        "alpaca": f"{_LAYOUTS}.examples:ALPACA",
        "sft": f"{_LAYOUTS}.examples:SFT",
        "inspect": f"{_LAYOUTS}.inspect:IMPORTER",
        "lm-eval": f"{_LAYOUTS}.lm_eval:IMPORTER",
        "reasoning-gym": f"{_LAYOUTS}.reasoning_gym:IMPORTER",
        "verifiers": f"{_LAYOUTS}.verifiers:IMPORTER",
        "helm": f"{_LAYOUTS}.helm:IMPORTER",
        "every-eval-ever": f"{_LAYOUTS}.every_eval_ever:IMPORTER",
        "atif": f"{_LAYOUTS}.atif:IMPORTER",
        "swe-agent": f"{_LAYOUTS}.agents:SWE_AGENT",
        "tau-bench": f"{_LAYOUTS}.agents:TAU_BENCH",
        "opencompass": f"{_LAYOUTS}.benchmarks:OPENCOMPASS",
        "lighteval": f"{_LAYOUTS}.benchmarks:LIGHTEVAL",
        "plain": f"{_LAYOUTS}.plain:IMPORTER",
    },
    _problem_of,
)


def choose_importer(sample: FileSample) -> RowImporter:
    """Return the importer that matches a file best. An importer that fails on the sample does not match."""
    importers = [IMPORTERS.get(name) for name in IMPORTERS.names()]
    return max(importers, key=lambda importer: _confidence(importer, sample))  # ties: built-in ones first


def _confidence(importer: RowImporter, sample: FileSample) -> float:
    try:
        return float(importer.matches(sample))
    except Exception:  # a bug of one plug-in must not stop the import of other layouts
        return 0.0
