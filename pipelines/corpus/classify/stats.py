"""Counts of classified documents that can be merged, and their means and shares with n and intervals."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from pipelines.behaviors.sets.four_habits import FOUR_HABITS

_Z = 1.959964
"""Two-sided 95 %."""


class ClassificationStats(BaseModel):
    """Counts of documents. Behaviours without a judgement are not counted: missing is not zero."""

    model_config = ConfigDict(extra="forbid")

    documents: int = 0
    """All of them, rejected ones too."""
    judged: int = 0
    rejected: dict[str, int] = Field(default_factory=dict)
    """By reason."""
    flagged: dict[str, int] = Field(default_factory=dict)
    truncated: int = 0
    statuses: dict[str, int] = Field(default_factory=dict)
    """Of single judgements, four a document."""
    n: dict[str, int] = Field(default_factory=dict)
    """Documents with a count, by behaviour."""
    total: dict[str, int] = Field(default_factory=dict)
    """Sum of the counts."""
    squares: dict[str, int] = Field(default_factory=dict)
    """Sum of their squares."""
    present: dict[str, int] = Field(default_factory=dict)
    pair_n: dict[str, int] = Field(default_factory=dict)
    """Documents in which both behaviours of a pair, `a+b`, were judged."""
    pair_present: dict[str, int] = Field(default_factory=dict)
    facts: dict[str, int] = Field(default_factory=dict)
    """By status."""
    problem: int = 0
    solution: int = 0
    domains: dict[str, int] = Field(default_factory=dict)
    spans: int = 0
    unaligned: int = 0
    """Quotes of a judge that are not in the document."""
    cost_usd: float | None = 0.0
    tokens: dict[str, int] = Field(default_factory=dict)

    def add(self, counts: Mapping[str, int | None], statuses: Mapping[str, str], meta: Mapping[str, Any]) -> None:
        """Takes a judged document into account.

        Args:
            counts: behaviour → count, None where it was not judged.
            statuses: behaviour → status.
            meta: of the document's record.
        """
        self.judged += 1
        _count(self.statuses, statuses.values())
        _count(self.flagged, meta.get("flags") or ())
        self.truncated += bool(meta.get("truncated"))
        known = {behavior: count for behavior in FOUR_HABITS.names if (count := counts.get(behavior)) is not None}
        for behavior, count in known.items():
            for name, value in ((self.n, 1), (self.total, count), (self.squares, count * count)):
                name[behavior] = name.get(behavior, 0) + value
            self.present[behavior] = self.present.get(behavior, 0) + (count > 0)
        for first, second in combinations(known, 2):
            pair = f"{first}+{second}"
            self.pair_n[pair] = self.pair_n.get(pair, 0) + 1
            self.pair_present[pair] = self.pair_present.get(pair, 0) + (known[first] > 0 < known[second])
        status = str(meta.get("facts", "unjudged"))
        _count(self.facts, [status])
        _count(self.domains, [str(meta["domain"])] if meta.get("domain") else [])
        if status == "ok":
            self.problem += bool(meta.get("problem"))
            self.solution += bool(meta.get("solution"))

    def merge(self, other: Self) -> None:
        """Add the counts of another set of documents."""
        for name in type(self).model_fields:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                setattr(self, name, dict(Counter(mine) + Counter(theirs)) | _zeros(mine, theirs))
            elif mine is None or theirs is None:
                setattr(self, name, None)
            else:
                setattr(self, name, mine + theirs)

    def result(self) -> dict[str, Any]:
        """Return the counts for the stage's result."""
        n_facts = self.facts.get("ok", 0)
        return {
            "documents": self.documents,
            "judged": self.judged,
            "rejected": dict(sorted(self.rejected.items())),
            "flagged": dict(sorted(self.flagged.items())),
            "truncated": self.truncated,
            "statuses": dict(sorted(self.statuses.items())),
            "behaviors": {behavior: self._behavior(behavior) for behavior in FOUR_HABITS.names},
            "cooccurrence": {
                f"{a}+{b}": share_with_interval(self.pair_present.get(f"{a}+{b}", 0), self.pair_n.get(f"{a}+{b}", 0))
                for a, b in combinations(FOUR_HABITS.names, 2)
            },
            "facts": dict(sorted(self.facts.items())),
            "problem": share_with_interval(self.problem, n_facts),
            "solution": share_with_interval(self.solution, n_facts),
            "domains": dict(sorted(self.domains.items(), key=lambda pair: (-pair[1], pair[0]))),
            "spans": self.spans,
            "unaligned": self.unaligned,
            **({"spent": {**self.tokens, "cost_usd": self.cost_usd}} if self.tokens else {}),
        }

    def _behavior(self, behavior: str) -> dict[str, Any]:
        n, total = self.n.get(behavior, 0), self.total.get(behavior, 0)
        return {
            **share_with_interval(self.present.get(behavior, 0), n),
            "count": total,
            **mean_with_interval(total, self.squares.get(behavior, 0), n),
        }


def _zeros(mine: Mapping[str, int], theirs: Mapping[str, int]) -> dict[str, int]:
    return {key: 0 for key in (*mine, *theirs) if not mine.get(key, 0) + theirs.get(key, 0)}


def _count(where: dict[str, int], keys: Iterable[str]) -> None:
    for key in keys:
        where[key] = where.get(key, 0) + 1


def share_with_interval(k: int, n: int) -> dict[str, Any]:
    """Return a share with n and Wilson's 95 % interval; None for n = 0."""
    if not n:
        return {"n": 0, "present": 0, "share": None, "share_low": None, "share_high": None}
    p, z2 = k / n, _Z * _Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return {
        "n": n,
        "present": k,
        "share": p,
        "share_low": max(0.0, middle - half),
        "share_high": min(1.0, middle + half),
    }


def mean_with_interval(total: float, squares: float, n: int) -> dict[str, Any]:
    """Return a mean with its normal 95 % interval; no interval for fewer than two values."""
    if not n:
        return {"mean": None, "mean_low": None, "mean_high": None}
    value = total / n
    if n < 2:
        return {"mean": value, "mean_low": None, "mean_high": None}
    half = _Z * math.sqrt(max(0.0, squares - n * value * value) / (n - 1) / n)
    return {"mean": value, "mean_low": value - half, "mean_high": value + half}
