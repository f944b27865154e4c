"""Judging Countdown traces by rules: offline, deterministic, the default judge.

`judge_completion` is the judge as a function. It is imported on first use, so that importing one module of
this package does not import them all.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.behaviors.judges.rules.judge import judge_completion

__all__ = ["judge_completion"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from pipelines.behaviors.judges.rules import judge

        return getattr(judge, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
