"""The four behaviours in documents that state no puzzle: told by what their sentences say.

The rules judge follows which result each computation of a Countdown trace uses and holds it against the target.
A page of mathematics has neither numbers given nor a target, so here only wordings count: phrases with which
people and models announce a check, give up a way, set an intermediate goal, or reason from the end. That finds
fewer instances than a reader would and some that are none; it is meant for choosing among many documents.
"""

import re
from typing import Final

from pipelines.behaviors.segment import segments
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.records import Behavior, Span

PROSE_VERSION: Final = "1"
"""Goes up whenever these rules find anything else than before."""

_VERB: Final = r"(?:check|verify|confirm|double-check|test|validate)"

_CUES: Final[dict[Behavior, str]] = {
    "verification": (
        rf"\b(?:let (?:us|me)|let's|we (?:can|may|now|will|should|must)|i(?:'ll| will| can)|to|now|one can|you can)"
        rf" (?:now |also |easily |quickly )*{_VERB}\b"
        r"|\b(?:this|that|it|which) (?:checks out|is (?:indeed )?"
        r"(?:correct|consistent|as (?:expected|required|desired)))"
        r"|\b(?:substitut|plugg)ing (?:\S+ ){0,6}(?:back|in(?:to)?)\b"
        r"|\bsanity check\b|\bas a check\b|\bchecking:|\bverification\b"
        r"|\bdoes(?: not|n't) (?:match|satisfy|agree|equal|hold|work)\b"
        r"|\b(?:matches|agrees with|satisfies) (?:the|our|what|all)\b"
        r"|\bis (?:indeed|not) (?:equal|the (?:same|target|answer|desired))\b"
    ),
    "backtracking": (
        r"\b(?:let (?:us|me)|let's|we|i(?:'ll| will)?) (?:\w+ ){0,2}(?:try|use|take|consider) "
        r"(?:something else|(?:an?|the)?\s?(?:another|different|other|new|alternative)\b)"
        r"|\b(?:this|that|it|which) (?:approach |method |attempt |way |idea )?"
        r"(?:does(?: not|n't) (?:work|help|lead)|fails|leads nowhere|is a dead end|gets us nowhere)\b"
        r"|\b(?:wait|hmm|oops)\b[,.!: ]|\bon second thought\b|\bgo(?:ing)? back\b|\bstart(?:ing)? over\b"
        r"|\b(?:let (?:us|me)|let's|i(?:'ll| will)?|we) (?:back ?track|re-?think|re-?consider|try again)\b"
        r"|\bi (?:made|was) (?:an? )?(?:mistake|error|wrong)\b|\btry(?:ing)? again\b|\bdead end\b"
    ),
    "subgoal": (
        r"\b(?:first|next|then|now),? (?:we|i|let us|let's|let me|you) (?:\w+ ){0,2}"
        r"(?:find|compute|calculate|determine|show|prove|need|solve|establish|look for|want)\b"
        r"|\b(?:it (?:is enough|suffices)|we (?:only |just |first |still )?need) to "
        r"(?:show|prove|find|determine|compute)\b"
        r"|\bstep (?:\d+|one|two|three|four|five)\b(?=[:.,)])"
        r"|\bour (?:first|next) (?:goal|step|task|aim)\b|\b(?:break|split|divide) (?:\S+ ){1,5}into (?:\S+ ){0,3}"
        r"(?:parts|steps|cases|pieces|subproblems)\b|\bthe (?:first|next|second|last) step is\b"
    ),
    "backward_chaining": (
        r"\bwork(?:ing)? back(?:wards?)?\b|\b(?:start|begin)(?:ing)? (?:from|with) the "
        r"(?:end|answer|result|conclusion|goal|desired)\b|\bin reverse\b"
        r"|\bto (?:get|obtain|reach|arrive at|have|make) (?:\S+ ){1,8}?(?:we|you|one) (?:would |must |will )?"
        r"(?:need|have to|require)\b"
        r"|\bsuppose (?:\S+ ){0,4}(?:the answer|the result|such an? \w+) (?:is|were|exists)\b"
    ),
}
_PATTERNS: Final = {behavior: re.compile(_CUES[behavior]) for behavior in FOUR_HABITS.names}
_NEEDLES: Final[dict[Behavior, tuple[str, ...]]] = {
    "verification": (
        "check", "verif", "confirm", "test", "validate", "substituting", "plugging", "indeed", "is correct",
        "consistent", "is as ", "does not", "doesn't", "matches", "agrees", "satisfies", "is not ",
    ),
    "backtracking": (
        " try", " use ", " take ", "consider", "does not", "doesn't", " fails", "nowhere", "dead end", "wait", "hmm",
        "oops", "second thought", "back", "over", "think", "mistake", "error", "wrong",
    ),
    "subgoal": (
        "first", "next", "then", "now", "enough", "suffices", "need to", "step", "break", "split", "divide", "second",
    ),
    "backward_chaining": ("back", "from the", "with the", "reverse", " need", "have to", "require", "suppose"),
}  # fmt: skip
"""Of each behaviour the words without one of which no cue of it fits: most sentences have none, and are passed over."""


def prose_spans(text: str) -> dict[Behavior, tuple[Span, ...]]:
    """The spans of each behaviour in order; at most one of a kind in a sentence, which is the span."""
    found: dict[Behavior, list[Span]] = {behavior: [] for behavior in FOUR_HABITS.names}
    folded = fold(text)
    wanted = [behavior for behavior in FOUR_HABITS.names if any(needle in folded for needle in _NEEDLES[behavior])]
    if not wanted:
        return dict.fromkeys(FOUR_HABITS.names, ())
    for start, end in segments(text):
        sentence = folded[start:end]
        for behavior in wanted:
            if any(needle in sentence for needle in _NEEDLES[behavior]) and _PATTERNS[behavior].search(sentence):
                stop = start + len(text[start:end].rstrip())
                begin = stop - len(text[start:stop].lstrip())
                found[behavior].append(Span(start=begin, end=stop, quote=text[begin:stop]))
    return {behavior: tuple(spans) for behavior, spans in found.items()}


def fold(text: str) -> str:
    """Lower case, without moving an offset."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
