"""How the index encodes the words of records: statuses, finish reasons, file families."""

from typing import Final, Literal

from pipelines.records import FinishReason, JudgeStatus

STATUS_LETTERS: Final[dict[JudgeStatus, str]] = {
    "ok": "o", "parse_error": "p", "truncated": "t", "refused": "r", "api_error": "a", "unjudged": "u"
}  # fmt: skip
FINISH_CODES: Final[dict[FinishReason, int]] = {"stop": 0, "length": 1, "error": 2}
FINISH_UNKNOWN: Final = 3
FINISH_NAMES: Final = ("stop", "length", "error", "unknown")
"""Names of the codes of `rollout.finish`; `unknown` only for imported files that state none."""
Family = Literal["rollouts", "traces", "judgements", "metrics", "annotations"]
FAMILIES: Final[tuple[Family, ...]] = ("rollouts", "traces", "judgements", "metrics")
"""Families of stage folders in reading order: those that others refer to come first. Annotations are read apart
(`ingest.annotation_rows`)."""
TEXT_FAMILIES: Final[frozenset[Family]] = frozenset(("rollouts", "traces"))
"""Families whose records are rollouts with a text to search."""
