"""The errors a user can act on. Everything else is a bug and keeps its traceback."""

from typing import ClassVar


class CogtuiError(Exception):
    """An error a user can fix: what was wrong, where, and what to do about it.

    Attributes:
        code: stable name for programs, e.g. `invalid_input`.
        summary: one line, without a full stop: what is wrong and where.
        detail: more lines where they help (the offending row, the nearest valid key).
        remedy: what to do next, as an imperative sentence; empty where there is nothing to do.
    """

    code: ClassVar[str] = "error"

    def __init__(self, summary: str, *, detail: str = "", remedy: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.detail = detail
        self.remedy = remedy

    def as_dict(self) -> dict[str, str]:
        """Return the `error` part of the JSON envelope."""
        return {"code": self.code, "summary": self.summary, "detail": self.detail, "remedy": self.remedy}

    def __str__(self) -> str:
        return "\n".join(part for part in (self.summary, self.detail, self.remedy) if part)


class InvalidInput(CogtuiError):
    """A recipe, a file, a filter or an argument that cannot be used as it is."""

    code = "invalid_input"


class MissingRequirement(CogtuiError):
    """A requirement is missing here: a package of an extra, Slurm, a key, a writable folder."""

    code = "missing_requirement"


class NotFound(CogtuiError):
    """There is no stage, rollout or experiment of that name."""

    code = "not_found"


class StageFailed(CogtuiError):
    """A stage ended without its result."""

    code = "stage_failed"


class Interrupted(CogtuiError):
    """The stage was told to stop (signal); it can be continued from its folder."""

    code = "interrupted"
