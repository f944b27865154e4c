"""What a clause does: judge a result, drop a path, set an intermediate goal, announce a check, restate.

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
    """What was found in one clause."""

    polarity: int = 0
    """Of a verdict: 1 it fits, -1 it does not, 0 no verdict."""
    versus: str = ""
    """`T` when measured against the target by name or number, `N` against another number, else empty."""
    near: bool = False
    """Close to the target: not a failure to be left behind."""
    mild: bool = False
    """About the rules (`not valid`, `uses 5 twice`) rather than the value."""
    if_reached: bool = False
    """Means something only when the last result is the target: `great`, `that's TT`."""
    alone: bool = False
    """A mere yes or no."""
    strong: bool = False
    """Says that a path is dropped or another begins: `let's try something else`."""
    weak: bool = False
    """Introduces an attempt: `let me try`, `what if`, `a valid solution is`."""
    aside: bool = False
    """May stand before an attempt: `wait`, `hmm`, `however`."""
    bare: bool = False
    """Only `try` or the like: belongs to what follows, even on the next line."""
    marker_at: int = 0
    """Where the marker begins in the clause."""
    goals: tuple[int, ...] = ()
    """Places of the numbers that are intermediate goals; -1 for `close to the target`."""
    check: bool = False
    """Announces a re-computation."""
    restates: bool = False
    answers: bool = False
    doubts: bool = False
    """Takes back a success: `but`, `however`, `unused`."""
    turns: bool = False
    """Turns to another operation: `what if I try division`."""
    breaks: bool = False
    """Breaks off what was under way: `wait, maybe`."""
    after_failure: bool = False
    """A marker only after a result was judged not to fit: `moving to node`."""
    carries: bool = False
    """Goes on with the computation before: `this gives us`."""
    rejects: bool = False
    """Lets go of what was just said: `not sure`, `not helpful`, `hmm`."""


NOTHING: Final = Cue()


@lru_cache(maxsize=1 << 15)
def read_clause(clause: str) -> Cue:
    """The cue of a folded, masked clause."""
    clause = clause[:_LONGEST]
    words = set(_WORD.findall(clause))
    aims = goals.find(clause, words)
    verdict = verdicts.NONE if aims else verdicts.find(clause, words)
    marker = markers.find(clause, words)
    check = bool(words & markers.CHECK_WORDS or _CJK.search(clause)) and markers.CHECK.search(clause) is not None
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
        marker_at=marker.at,
        goals=aims,
        check=check,
        restates=bool(words & markers.RESTATE_WORDS),
        answers=markers.ANSWER.search(clause) is not None,
        doubts=bool(words & markers.DOUBT_WORDS),
        turns=marker.turns,
        breaks=marker.breaks,
        after_failure="moving to node" in clause,
        carries=markers.CARRIES.search(clause) is not None,
        rejects=markers.REJECTS.search(clause) is not None,
    )
    return NOTHING if cue == NOTHING else cue


_WORD: Final = re.compile(r"[a-zà-ÿœß]+(?:'[a-z]+)?")
_CJK: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
