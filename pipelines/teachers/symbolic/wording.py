"""Phrase tables of the varied style. `«…»` encloses the span of the behaviour that a table is for.

Every phrase begins in lower case (sentences are capitalised when written) and is true wherever it is used: what a
phrase claims about size or closeness is checked before it is chosen.
"""

import re
from typing import Final

OPENINGS: Final = (
    "the numbers are {numbers} and the target is {target}",
    "I have {numbers} to work with, and {target} is the target",
    "we are given {numbers} and want {target}",
    "numbers: {numbers}. Target: {target}",
    "let me try some combinations of {numbers}",
    "let me see what {numbers} can give",
    "okay, {numbers} and a target of {target}",
    "all of {numbers} have to be used once each",
)

LINEAR_OPENINGS: Final = (
    "the numbers are {numbers} and the target is {target}",
    "here is a solution with {numbers}",
    "we are given {numbers} and want {target}",
    "numbers: {numbers}. Target: {target}",
    "the steps are as follows",
)

STARTS: Final = ("", "", "", "start with ", "let me start with ", "first, ", "to begin, ", "one way: ")

MARKERS: Final = (
    "«let me try something else»",
    "«let me try another combination»",
    "«let's try a different way»",
    "«I'll try a different order»",
    "«time for another approach»",
    "«let me go back and try again»",
    "«back to the start»",
    "«let me start over»",
    "«on to another idea»",
    "«I will switch to other operations»",
    "«another attempt»",
    "«let me change course»",
    "«let me rethink this»",
    "«let me go down a different path»",
    "wait, «let me try this another way»",
    "hmm, «let's try other pairs»",
    "okay, «a different approach»",
)
"""Markers of backtracking that are sentences; the attempt is the next sentence."""

LEADS: Final = (
    "instead, ",
    "alternatively, ",
    "another way: ",
    "another option: ",
    "how about ",
    "what about ",
    "let me try ",
    "let's try ",
    "next try: ",
    "going back, ",
    "starting over: ",
    "switching things around: ",
    "maybe ",
    "or perhaps ",
    "let me try a different pair: ",
    "trying again: ",
    "wait, try ",
)
"""Markers of backtracking at the start of the attempt's sentence; the span includes both."""

MISSES: Final = (
    "«(not {target})»",
    "«→ not {target}»",
    "«✗»",
    "«❌»",
    "«≠ {target}»",
    "«!= {target}»",
    ", «not {target}»",
    ", «which is not {target}»",
    " – «no»",
    "«(no)»",
    ", «that is not it»",
    ", «which misses the target»",
)
"""Verdicts on a miss, in the sentence of the arithmetic."""

TOO_HIGH: Final = (
    "«(too high)»",
    "«(too big)»",
    ", «too high»",
    ", «too large»",
    ", «which is too much»",
    ", «over the target»",
    "«(above {target})»",
    "«→ too high»",
)
TOO_LOW: Final = (
    "«(too low)»",
    "«(too small)»",
    ", «too low»",
    ", «which is too little»",
    ", «below the target»",
    ", «short of {target}»",
    "«(under {target})»",
    "«→ too low»",
)
CLOSE: Final = ("«(close, but no)»", ", «close but not {target}»", "«(nearly)»", ", «just off the target»")

HITS: Final = (
    "«✓»",
    "«✅»",
    "«(this works)»",
    "«(correct)»",
    "«→ yes!»",
    ", «which is the target»",
    ", «exactly {target}»",
    ", «just what we want»",
    ", «and that is it»",
    "«(target reached)»",
)
"""Verdicts on a hit, in the sentence of the arithmetic."""

MISS_SENTENCES: Final = (
    "«{value} is not {target}»",
    "«that is not {target}»",
    "«that gives {value}, not {target}»",
    "«this does not reach {target}»",
    "«{value} ≠ {target}»",
    "«not the target»",
    "no, «that does not work»",
    "«{value} is not what we want»",
    "«that misses {target}»",
    "hmm, «{value} is not equal to {target}»",
)
HIGH_SENTENCES: Final = (
    "«{value} is too high»",
    "«{value} is greater than {target}»",
    "«that overshoots {target}»",
    "«that is too much»",
    "«{value} is {off} too many»",
)
LOW_SENTENCES: Final = (
    "«{value} is too low»",
    "«{value} is less than {target}»",
    "«that falls short of {target}»",
    "«that is too little»",
    "«{value} is {off} too few»",
)
HIT_SENTENCES: Final = (
    "«that works»",
    "«this is the target»",
    "«that is exactly {target}»",
    "yes, «{value} is what we need»",
    "great, «it matches the target»",
    "«we have reached {target}»",
    "«{value} is the target»",
    "«this one is right»",
)

SHORTFALLS: Final = ("«(not {needed})»", ", «not the {needed} I need»", "«→ not {needed}»", ", «which is not {needed}»")
"""Verdicts against a subgoal; their spans are weak."""

CHECKS: Final = (
    "«let me verify: {running} ✓»",
    "«checking: {running}, correct»",
    "«to check: {running}, which is {target}»",
    "«double-check: {running}. Yes»",
    "«let me make sure: {running}, right»",
)
"""Announced re-computations of a hit; one span from the announcement to the verdict."""

SUBGOALS: Final = (
    "«can I make {needed} from {rest}?»",
    "«I need {needed} from {rest}»",
    "«I need to get {needed} out of {rest}»",
    "«first make {needed} with {rest}»",
    "«the next aim is {needed} using {rest}»",
    "«is there a way to get {needed} from {rest}?»",
    "«let me aim for {needed} with {rest}»",
    "«so the task is to form {needed} from {rest}»",
    "«I want {needed} as an intermediate result from {rest}»",
    "«let me look for {needed} in {rest}»",
    "«{rest} should give {needed}»",
    "with {held} held back, «the others must make {needed}»",
)

BACKWARD: Final = (
    "working back from {target}: «{undone}»",
    "from the target, «{undone}»",
    "«{undone}» if {held} is used last",
    "backwards: «{undone}»",
    "starting at the end, «{undone}»",
    "take the target and undo {held}: «{undone}»",
    "«{undone}»",
    "suppose {held} comes last; then «{undone}»",
    "reversing the last step, «{undone}»",
)
"""Backward steps: equations that begin with the target."""

SPLITS: Final = (
    "«{split}»",
    "note that «{split}»",
    "the target splits: «{split}»",
    "looking at it from the end, «{split}»",
    "«{split}» would be the last step",
    "since «{split}», {held} can come last",
)
"""Backward steps: equations whose known result is the target."""

BACKWARD_SUBGOALS: Final = (
    ("«{undone}»", ", so «I need {needed} from {rest}»"),
    ("working back, «{undone}»", ", so «{rest} must make {needed}»"),
    ("from {target}, «{undone}»", "; «can I get {needed} from {rest}?»"),
    ("«{undone}»", " – now «find {needed} using {rest}»"),
)
"""A backward step and its subgoal in one sentence."""

CLOSINGS: Final = (
    "so the answer is {answer}",
    "the expression is {answer}",
    "final expression: {answer}",
    "put together: {answer}",
    "written as one expression: {answer}",
    "in one line, {answer}",
)

STOPS: Final = ("I will stop here", "I end the search here", "that is as far as I go")

JOINS: Final = (", ", ", ", ", then ", ", and ", "; ", ", and then ", ", next ")
"""Connectives between the equations of one attempt in a sentence."""

OPERATION_WORDS: Final = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
EQUALS_WORDS: Final = ("is", "makes", "gives", "equals")

_SLOT: Final = re.compile(r"\{[a-z]+\}|[«»]")


def fixed_phrases() -> tuple[str, ...]:
    """Return the fixed texts between the slots of all phrases, each once, in order of appearance."""
    tables: tuple[tuple[str, ...], ...] = (
        *(OPENINGS, LINEAR_OPENINGS, STARTS, MARKERS, LEADS, MISSES, TOO_HIGH, TOO_LOW, CLOSE, HITS),
        *(MISS_SENTENCES, HIGH_SENTENCES, LOW_SENTENCES, HIT_SENTENCES, SHORTFALLS, CHECKS, SUBGOALS),
        *(BACKWARD, SPLITS, CLOSINGS, STOPS, JOINS, tuple(OPERATION_WORDS.values()), EQUALS_WORDS),
        *BACKWARD_SUBGOALS,
    )
    pieces = (piece.strip() for table in tables for wording in table for piece in _SLOT.split(wording))
    return tuple(dict.fromkeys(piece for piece in pieces if piece))
