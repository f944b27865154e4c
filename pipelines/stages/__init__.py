"""Stage kinds: what one declares (`kinds`), its config and key (`configs`), its inputs, and the registry (`builtin`).

Everything here is light: a kind's config model is imported when a recipe names it, its function (and with it
torch and friends) only by the process that runs the stage. Import from this package the names in `__all__`. Those that
need pydantic are imported on first use: `cogtui show` looks up a kind without it, which saves 60 ms.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pipelines.stages.builtin import IMPORT, STAGE_KINDS, accepted_kinds, find_kind, stage_kind
from pipelines.stages.kinds import RESERVED_FIELDS, StageKind, StageTable, Upstream

if TYPE_CHECKING:
    from pipelines.stages.configs import AS_WRITTEN, UNLESS_DEFAULT, ConfigModel, InputFile, StageConfig, content_key
    from pipelines.stages.inputs import Inputs

__all__ = [
    "AS_WRITTEN",
    "IMPORT",
    "RESERVED_FIELDS",
    "STAGE_KINDS",
    "UNLESS_DEFAULT",
    "ConfigModel",
    "InputFile",
    "Inputs",
    "StageConfig",
    "StageKind",
    "StageTable",
    "Upstream",
    "accepted_kinds",
    "content_key",
    "find_kind",
    "stage_kind",
]

_ON_FIRST_USE: Final = {
    **dict.fromkeys(
        ("AS_WRITTEN", "UNLESS_DEFAULT", "ConfigModel", "InputFile", "StageConfig", "content_key"),
        "pipelines.stages.configs",
    ),
    "Inputs": "pipelines.stages.inputs",
}


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        return getattr(import_module(_ON_FIRST_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
