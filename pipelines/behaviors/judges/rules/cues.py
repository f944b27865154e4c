"""Classifies a clause: verdict, dropped path, intermediate goal, announced check, restatement.

A clause comes folded to lower case, its numbers masked: `TT` where the target stands, `NN` for any other.
So one lexicon serves every problem, and what was found for a clause is remembered for the next trace.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pipelines.behaviors.judges.rules.lexicon import goals, markers, verdicts

_LONGEST: Final = 400


@dataclass(frozen=True, slots=True)
class Cue:
    """The classification of one clause."""

    polarity: int = 0
    """Verdict: 1 the result is right, -1 it is wrong, 0 none."""
    versus: str = ""
    """Number that the verdict compares with: `T` the target, by name or value; `N` another number; else empty."""
    near: bool = False
    """Whether the verdict says that the result is close to the target, which ends no attempt."""
    mild: bool = False
    """Whether the verdict is about the rules (`not valid`, `uses 5 twice`) rather than the value."""
    if_reached: bool = False
    """Whether it is a verdict only if the last result is the target: `great`, `that's TT`."""
    alone: bool = False
    """Whether it is only yes or no."""
    strong: bool = False
    """Whether it drops a path or starts another: `let's try something else`."""
    weak: bool = False
    """Whether it introduces an attempt: `let me try`, `what if`, `a valid solution is`."""
    aside: bool = False
    """Whether an attempt may follow: `wait`, `hmm`, `however`."""
    bare: bool = False
    """Whether it is only `try` or similar, which belongs to the following words, even on the next line."""
    heading: bool = False
    """Whether it numbers an attempt: `Case 2`."""
    marker_at: int = 0
    """Offset of the marker in the clause."""
    goals: tuple[int, ...] = ()
    """Offsets of the numbers that are intermediate goals; -1 for `close to the target`."""
    check: bool = False
    """Whether it announces a re-computation."""
    restates: bool = False
    answers: bool = False
    doubts: bool = False
    """Whether it withdraws a success: `but`, `however`, `unused`."""
    turns: bool = False
    """Whether it switches to another operation: `what if I try division`."""
    breaks: bool = False
    """Whether it interrupts the current attempt: `wait, maybe`."""
    after_failure: bool = False
    """Whether it is a marker only after a negative verdict: `moving to node`."""
    carries: bool = False
    """Whether it continues the last computation: `this gives us`."""
    rejects: bool = False
    """Whether it doubts the last statement: `not sure`, `not helpful`, `hmm`."""


NOTHING: Final = Cue()


@lru_cache(maxsize=1 << 15)
def read_clause(clause: str) -> Cue:
    """Return the cue of a folded, masked clause."""
    clause = clause[:_LONGEST]
    words = set(_WORD.findall(clause))
    aims = goals.find(clause, words)
    verdict = verdicts.NONE if aims else verdicts.find(clause, words)
    marker = markers.find(clause, words)
    other = not clause.isascii() and _CJK.search(clause) is not None
    check = (other or not words.isdisjoint(markers.CHECK_WORDS)) and markers.CHECK.search(clause) is not None
    answers = (other or not words.isdisjoint(markers.ANSWER_WORDS)) and markers.ANSWER.search(clause) is not None
    rejects = (other or not words.isdisjoint(markers.REJECT_WORDS)) and markers.REJECTS.search(clause) is not None
    cue = Cue(
        polarity=verdict.polarity,
        versus=verdict.versus,
        near=verdict.near,
        mild=verdict.mild,
        if_reached=verdict.if_reached,
        alone=verdict.alone,
        strong=marker.strong,
        weak=marker.weak,
        aside=marker.aside,
        bare=marker.bare,
        heading=marker.heading,
        marker_at=marker.at,
        goals=aims,
        check=check,
        restates=bool(words & markers.RESTATE_WORDS),
        answers=answers,
        doubts=bool(words & markers.DOUBT_WORDS),
        turns=marker.turns,
        breaks=marker.breaks,
        after_failure="moving to node" in clause,
        carries=markers.CARRIES.search(clause) is not None,
        rejects=rejects,
    )
    return NOTHING if cue == NOTHING else cue


_WORD: Final = re.compile(r"[a-zà-ÿœß]+(?:'[a-z]+)?")
_CJK: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
