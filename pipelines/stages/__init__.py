"""Stage kinds: what one declares (`kinds`), its config and key (`configs`), its inputs, and the registry (`builtin`).

Everything here is light: a kind's config model is imported when a recipe names it, its function (and with it
torch and friends) only by the process that runs the stage. Import from this package the names in `__all__`.
"""

from pipelines.stages.builtin import IMPORT, STAGE_KINDS, accepted_kinds, find_kind, stage_kind
from pipelines.stages.configs import UNLESS_DEFAULT, InputFile, StageConfig, content_key
from pipelines.stages.inputs import Inputs
from pipelines.stages.kinds import RESERVED_FIELDS, StageKind, StageTable, Upstream

__all__ = [
    "IMPORT",
    "RESERVED_FIELDS",
    "STAGE_KINDS",
    "UNLESS_DEFAULT",
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
