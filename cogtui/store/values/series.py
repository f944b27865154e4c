"""Series: the stage, condition, seed, split and experiments that many rollouts share. Small, so kept in memory."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from cogtui.store.filter.ast import FieldComparison
from cogtui.store.values.types import Label


@dataclass(frozen=True, slots=True)
class RolloutSeries:
    """The rollouts of one split of one stage; in an import also of one condition and seed."""

    id: int
    stage: str
    kind: str
    name: str
    split: str
    condition: str | None
    seed: int | None
    labels: dict[str, Label]
    experiments: frozenset[str]


def load_series(db: sqlite3.Connection) -> dict[int, RolloutSeries]:
    """Read all series of an index, by id."""
    experiments: dict[str, set[str]] = {}
    for experiment, key in db.execute("SELECT experiment, stage_key FROM experiment_stage"):
        experiments.setdefault(key, set()).add(experiment)
    rows = db.execute(
        """SELECT s.id, t.key, t.kind, t.name, s.split, s.condition, s.seed, t.labels
        FROM series s JOIN stage t ON t.id = s.stage"""
    )
    return {
        number: RolloutSeries(
            number, key, kind, name, split, condition, seed, json.loads(labels), frozenset(experiments.get(key, ()))
        )
        for number, key, kind, name, split, condition, seed, labels in rows
    }


_VALUES: Final[dict[str, Callable[[RolloutSeries], Iterable[Any]]]] = {
    "condition": lambda one: () if one.condition is None else (one.condition,),
    "seed": lambda one: () if one.seed is None else (one.seed,),
    "stage": lambda one: (one.stage,),
    "kind": lambda one: (one.kind,),
    "name": lambda one: (one.name,),
    "split": lambda one: (one.split,),
    "experiment": lambda one: one.experiments,
}


def values_of(one: RolloutSeries, field: str) -> Iterable[Any]:
    """Return the values of a field of a series: none, one, or (experiments) several."""
    return _VALUES[field](one)


def series_predicate(term: FieldComparison) -> Callable[[RolloutSeries], bool]:
    """Return the predicate of a comparison of a series field. A missing label equals nothing."""
    if term.field == "seed":
        return lambda one: any(compare(value, term) for value in values_of(one, "seed"))
    if term.field == "stage":
        return lambda one: any(
            one.stage.startswith(str(value)) or one.stage.rpartition("-")[2].startswith(str(value))
            for value in term.values
        )
    return lambda one: any(
        matches(str(value), str(wanted)) for value in values_of(one, term.field) for wanted in term.values
    )


def matches(value: str, wanted: str) -> bool:
    """Return whether a value equals `wanted`, or starts with it where `wanted` ends in a star."""
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


def compare(value: float, term: FieldComparison) -> bool:
    """Return whether a number satisfies a comparison."""
    if term.operator in (":", "="):
        return value in term.values
    bound = term.values[0]
    assert not isinstance(bound, str)
    return {"<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound}[term.operator]
