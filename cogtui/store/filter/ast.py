"""The syntax tree of a filter, and the fields it may name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from cogtui.store.columns import BY_NAME, FieldKind, columns_after
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Behavior

Operator = Literal[":", "=", "!=", "<", "<=", ">", ">="]

SERIES_FIELDS: Final = frozenset(("condition", "seed", "stage", "kind", "name", "split", "experiment"))
"""Fields of the stage of a rollout: they select series, not rows."""


def _value_fields(*names: str) -> dict[str, tuple[FieldKind, str]]:
    return {name: (BY_NAME[name].kind, BY_NAME[name].description) for name in names}


FIELDS: Final[dict[str, tuple[FieldKind, str]]] = {
    "condition": ("text", "priming condition; a list a,b and a trailing * are understood"),
    "experiment": ("text", "name of a recipe that was run"),
    "stage": ("prefix", "key of the stage, or its beginning"),
    "kind": ("text", "kind of the stage: ppo, sample, priming_data, import"),
    "name": ("text", "name of the stage in its recipe"),
    "split": ("text", "train, test, priming, …"),
    "seed": ("number", "seed of the run"),
    **_value_fields("step"),
    "task": ("text", "name of the task; a list a,b and a trailing * are understood"),
    "problem": ("text", "id of the problem, or its number"),
    **_value_fields("target", "sample"),
    "id": ("prefix", "id of the rollout, or its beginning"),
    **_value_fields(*(column.name for column in columns_after("sample"))),
    "judge": ("prefix", "judge run whose counts are shown, or its beginning"),
    "tag": ("text", "a tag of yours"),
    "note": ("words", "part of a note"),
    "text": ("words", "word or phrase of the completion"),
    "has": ("choice", "a value the rollout has"),
}
"""Field → kind and description, in the order of the help."""

HAS: Final[dict[str, str]] = {
    "judged": "a judgement",
    "failed": "a judgement without a count, because it failed",
    "unaligned": "a quote that was not found in the text",
    "reward": "a reward",
    "answer": "an answer",
    "note": "a note",
    "tag": "a tag",
    **{behavior: f"at least one {behavior}" for behavior in BEHAVIORS},
}
FINISH_REASONS: Final = ("stop", "length", "error")
TRUTH_VALUES: Final = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """`field:value`, `field>=value`, `field:a,b`."""

    field: str
    operator: Operator
    values: tuple[str | float | bool, ...]


@dataclass(frozen=True, slots=True)
class TextPhrase:
    """`text:"try a different"`. With a trailing `*` the last word is the beginning of one."""

    phrase: str
    prefix: bool


@dataclass(frozen=True, slots=True)
class HasFlag:
    """`has:unaligned`."""

    what: str


@dataclass(frozen=True, slots=True)
class SpanPattern:
    """`verification->backtracking<80`: the second begins fewer than 80 characters after the first ends."""

    first: Behavior
    second: Behavior
    below: int | None
    """None: any distance."""


@dataclass(frozen=True, slots=True)
class NegatedTerm:
    """Rollouts that the term does not match."""

    term: Term


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Rollouts that all terms match."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Disjunction:
    """Rollouts that at least one term matches."""

    terms: tuple[Term, ...]


Term = FieldComparison | TextPhrase | HasFlag | SpanPattern | NegatedTerm | Conjunction | Disjunction
