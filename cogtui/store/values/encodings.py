"""Short forms of what records say in words, as the index keeps them."""

from typing import Final, Literal

from pipelines.records import FinishReason, JudgeStatus

STATUS_LETTERS: Final[dict[JudgeStatus, str]] = {
    "ok": "o", "parse_error": "p", "truncated": "t", "refused": "r", "api_error": "a", "unjudged": "u"
}  # fmt: skip
FINISH_CODES: Final[dict[FinishReason, int]] = {"stop": 0, "length": 1, "error": 2}
FINISH_UNKNOWN: Final = 3
FINISH_NAMES: Final = ("stop", "length", "error", "unknown")
"""Codes of `rollout.finish`; the last only where an imported file did not say."""
Family = Literal["rollouts", "traces", "judgements", "metrics", "annotations"]
FAMILIES: Final[tuple[Family, ...]] = ("rollouts", "traces", "judgements", "metrics")
"""Those of stage folders, in the order they are read: what others refer to comes first. People's annotations lie
beside the stages (`human_index`)."""
TEXT_FAMILIES: Final[frozenset[Family]] = frozenset(("rollouts", "traces"))
"""Those whose records are rollouts, with words to search."""
