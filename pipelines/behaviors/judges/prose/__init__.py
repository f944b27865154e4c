"""Judging prose that states no problem, by a small learned model.

`judge_text` is the judge as a function. It is imported on first use, so that numpy is loaded only by who judges.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.behaviors.judges.prose.judge import judge_text

__all__ = ["judge_text"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipelines.behaviors.judges.prose import judge

    return getattr(judge, name)
