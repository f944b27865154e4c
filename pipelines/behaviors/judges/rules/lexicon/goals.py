"""Phrases that set an intermediate goal: a number other than the target, a multiple, or nearness to the target."""

from typing import Final

from pipelines.behaviors.judges.rules.lexicon import foreign
from pipelines.behaviors.judges.rules.lexicon.wording import compiled, words_of

_MAKE: Final = (
    r"(?:make|makes|making|get|gets|getting|reach|reaching|find|finding|obtain|obtaining|form|forming|create|creating"
    r"|represent|express|build"
    r"|building|produce|producing|give|gives|give us|construct|generate|generating|have|end up with|come up with|hit"
    r"|arrive at|leave|equal|equals|gain|lose|combine (?:in)?to|add up to|sum (?:up )?to|come to|turn into|amount to)"
)
_SOME: Final = (
    r"(?:(?:a|an|to|us|me|another|exactly|about|around|close to|near|something|something like|approximately|roughly"
    r"|the|some"
    r"|number|value|result|like|of|just|only|extra|additional|an extra|factor|sum|difference|product|total|remaining"
    r"|other"
    r"|number like|at|final) )*"
)
_NOT_COUNTED: Final = r"(?! (?:numbers?|operations?|steps?|digits?|operators?|terms?|times|ways?)\b)"
_PLAIN: Final = compiled(
    r"\b(?:need|needs|needed|require|requires|want|wants|missing|looking for|look for|aim for|aiming for|aim at"
    r"|searching for|go for|shoot for|left to make|wanted)\b"
    rf" (?:still |also |now |then |only |just |to {_MAKE} |to |be )*{_SOME}(?P<goal>N+)\b{_NOT_COUNTED}"
)
_MEANS: Final = compiled(
    r"\b(?:can|could|how|if|way|ways|possible|want|wants|try|trying|like|let's|let me|aim|hope|hoping|must|should|able"
    r"|where|maybe|goal|need|needs|might|see|perhaps|first|next|now|idea|combine|using|use|find|is there|are there"
    r"|numbers|have to|has to|remains|suffices|enough"
    r"|sub-?goal|target)\b"
    rf"[^.!?;]{{0,60}}?\b(?P<make>{_MAKE}) {_SOME}(?P<goal>N+)\b{_NOT_COUNTED}"
)
_ADD_MORE: Final = compiled(
    r"\b(?:if|can|could) (?:i|we) (?:\w+ )?(?:add|subtract|lose|gain|remove) (?P<goal>N+) (?:more|extra)\b"
)
_NEAR: Final = compiled(
    r"\b(?:get|gets|getting|come|coming|reach|start|starting|begin|be|bring|land|go|aim|something|number|value"
    r"|result|make"
    r"|making"
    r"|build|find|product|sum|combination|operations?|work|stay|approach)\b[^.!?;]{0,30}?"
    r"\b(?:close|closer|near|nearer|around|in the (?:vicinity|neighborhood|neighbourhood|range|ballpark) of"
    r"|approximately"
    r"|about)\b(?: to)? (?:the |our |my )?(?:target|goal|(?P<goal>N+)|T+)"
)
_WILL: Final = compiled(
    r"\b(?:let's|let me|let us|try|trying|want|need|can|could|how|first|aim|see|should|look|looking|would|i'll|we'll"
    r"|to|find"
    r"|maybe|goal|might|next|now|idea|approach|strategy|perhaps|will)\b"
)
_FACTOR: Final = compiled(
    r"\b(?:need|want|reach|get|getting|make|find|look|looking|try|trying|aim|for|to|create|something|build|near)\b"
    r"[^.!?;]{0,30}?\b(?:multiples?|factors?|divisors?) of (?P<goal>N+)\b"
)
_LEFT: Final = compiled(
    r"\b(?P<goal>N+) (?:more|left|remaining)?(?: needed| to go| to make| to find| to get| left to)\b",
    r"^\W*(?:(?:so|and|now|or|maybe|perhaps) )*(?:an? )?(?P<so>N+) (?:from|with|out of|using) (?:just |only )?"
    r"(?:N+|the (?:rest|others?|remaining)\b)(?!.*\b(?:is|leaves|gives|makes|equals)\b)",
    r"\b(?:remaining|other) (?:numbers?|two|three)\b[^.]{0,20}?\b(?:make|give|get|form|produce"
    r"|equal)\w* (?P<rest>N+)\b",
    r"\b(?:aim|task|goal|sub-?goal|job|idea|challenge|question|trick|plan) (?:now )?(?:is|becomes|:)"
    rf"(?: (?:to|now|then|how|whether|we|i|can)| {_MAKE})* {_SOME}(?P<aim>N+)\b",
    r"^\W*(?:(?:so|but|and|now) )?(?:is|are) there (?:an? |another )?(?P<there>N+)\W*$",
    r"^\W*(?:(?:so|and|then|now) )?for (?:the |an? )?(?P<for>N+) (?:we|i) (?:can|could|need|have|want|use|might)\b",
    r"\b(?:would|will) (?:have|need) to (?:be|equal|give|make|become) (?:an? )?(?P<be>N+)\b",
    r"\bis (?P<is>N+) (?:possible|doable|feasible|reachable|makeable|obtainable|achievable)\b",
    r"\bleaves? (?:us |me )?(?:with )?(?P<leaves>N+) to (?:make|get|find|form)",
    r"\b(?P<comes>N+) (?:now |then |still )?(?:has|have|had|must|needs?|would have|will have|ought)(?: now"
    r"| then| still)?"
    r" (?:to )?(?:come|be (?:made|built|formed|found|produced|obtained|expressed|represented|written))\b",
    r"\bleaving (?P<leaving>N+) (?:for|to be made|from)\b",
    r"\b(?:still|another|extra|further)(?: an?)? (?P<missing>N+) (?:more )?(?:missing|needed|to go|lacking)\b",
    r"\b(?P<lacks>N+) (?:is|are) (?:still |now |then )(?:needed|missing|required|lacking|wanted)\b",
    r"\b(?:diff\w*|gap|rest|remainder)(?: of)? (?P<gap>N+) (?:is )?(?:needed|wanted|required|from)\b",
)
_TOWARDS: Final = compiled(
    r"\b(?:need|needs|want|have|try|trying|how|must|should|would|like|aim)\b[^.!?;]{0,20}?"
    r"\b(?:add|subtract|remove|take|lose|gain|put)\b[^.!?;]{0,24}?\b(?:to|from) N+ to (?:reach|get|make|hit|arrive)",
    r"\b(?:need|needs|want|have|try|trying|how|must|should|would|like|aim)\b[^.!?;]{0,16}?"
    r"\b(?:get|go|come|move|bridge|climb|descend)\b[^.!?;]{0,10}? from N+ (?:up |down )?to T",
    r"\b(?:see|look|check|test)\b[^.!?;]{0,20}?\b(?:whether|if)\b[^.!?;]{0,30}?"
    r"\b(?:near|close|closer|nearer|around)\b(?: to)? (?:the |our )?(?:target|goal|T)",
    r"^\W*(?:which |and |this |that )?(?:must|has to|have to|needs? to|is to) (?:now |then |still )?"
    r"be (?:expressed|found|made|formed|obtained|produced|built|represented)\b",
    r"\bN+(?:,| and|, and) [^.!?;]{0,12}?N+ (?:to |must |have to |should )?(?:cancel|vanish|disappear|annihilate)",
    r"\b(?:turn|turning|make|making) [^.!?;]{0,24}?N+[^.!?;]{0,16}? (?:into |become |be )?(?:an? )?zero\b",
)
"""The way to the target as a goal: what to add to a result, nearness, or numbers that must cancel out."""
_REPORT: Final = compiled(
    r"\b(?:we|i|you|which|that|this|it|and|then|us|to) (?:will |would |then |now )?"
    r"(?:get|gets|obtain|have|give|gives|makes?|reach|equals?)$"
)
_QUESTION: Final = compiled(
    r"\b(?:can|could|how|if|way|possible|want|try|trying|let's|let me|need|needs|where|is there|are there|must|should"
    r"|aim"
    r"|goal|see|able|like|look|sub-?goal|hope|might)\b"
)
_CANNOT: Final = compiled(r"\b(?:can't|cannot|couldn't|can not|unable to|no way to|impossible to|not possible to)\b")
_TRIGGERS: Final = words_of(
    """
    need needs needed require requires want wants missing looking look aim aiming searching shoot left wanted
    can could how if way ways possible try trying like let's let hope hoping must should able where maybe goal
    might see perhaps first next now idea find is are multiple multiples factor factors divisor divisors more
    remaining so get getting start starting close near subgoal sub leaves go make target will other from out using
    with for would have has must leaving still extra gap turn turning cancel vanish disappear remains suffices enough
    rest remainder diff difference further ought check test see
    """
)


def find(clause: str, words: set[str]) -> tuple[int, ...]:
    """Return the offsets of the numbers that a folded, masked clause sets as goals; -1 means nearness to the target."""
    if "N" not in clause and not ("T" in clause or "target" in words):
        return ()
    other = foreign.speaks(clause, words)
    if not (other or words & _TRIGGERS) or _CANNOT.search(clause):
        return ()
    found = [match.start("goal") for match in _PLAIN.finditer(clause)]
    for match in _MEANS.finditer(clause):
        before = clause[: match.end("make")]
        if not _REPORT.search(before) or _QUESTION.search(before):
            found.append(match.start("goal"))
    near = _NEAR.search(clause)
    if near and _WILL.search(clause[: near.end()]) and not clause.startswith(("which", "that", "this")):
        found.append(near.start("goal") if near["goal"] else -1)
    if _TOWARDS.search(clause):
        found.append(-1)
    for pattern in (_FACTOR, _ADD_MORE, _LEFT, *((foreign.GOAL,) if other else ())):
        match_one = pattern.search(clause)
        if match_one is not None and match_one.lastgroup:
            found.append(match_one.start(match_one.lastgroup))
    return tuple(dict.fromkeys(found))
