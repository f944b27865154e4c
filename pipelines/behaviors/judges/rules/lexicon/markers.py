"""Phrases that start or drop an attempt, announce a check, restate, or give the answer."""

import re
from dataclasses import dataclass
from typing import Final

from pipelines.behaviors.judges.rules.lexicon import foreign
from pipelines.behaviors.judges.rules.lexicon.wording import compiled, words_of


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker found in a clause; see `cues.Cue` for the fields."""

    strong: bool = False
    weak: bool = False
    aside: bool = False
    bare: bool = False
    heading: bool = False
    turns: bool = False
    breaks: bool = False
    at: int = 0


NONE: Final = Marker()

_NOUN: Final = (
    r"(?:approach|way|combination|option|attempt|idea|try|method|strategy|possibility|route|path|arrangement|order"
    r"|solution"
    r"|expression|equation|pair|set|split|decomposition|breakdown|angle|factori[sz]ation|pairing|grouping"
    r"|permutation|sequence|alternative"
    r"|valid expression|starting point|direction|tactic|plan|configuration|trick|thought)(?:s|es)?"
)
_LEAD: Final = (
    r"(?:(?:so|but|ok|okay|hmm|well|now|then|and|or|maybe|perhaps|wait|no|alright|also|next|what if|i think|i guess"
    r"|we could"
    r"|we can|i could|i can|how about|i should|we should|let's|let me|let us|i'll|i will|we'll|i'd|i want to|i need to"
    r"|we need to|time to|going to|just|try|trying|attempt|consider|explore|use|using|take|test|think of|think about"
    r"|look at"
    r"|go with|do|see)\W+)*"
)


def _strong(lead: str, word: str) -> re.Pattern[str]:
    """Return the phrases of a dropped path behind a lead-in: `(but let's) try another`."""
    return compiled(
        rf"{lead}{word}(?:another|(?:an?|some|the|few|completely|totally|slightly|entirely|something)?"
        rf" ?(?:different|alternative|new))(?: \w+)? {_NOUN}\b",
        r"\b(?:try|use|using|with|consider|switch to|maybe|perhaps|what about|how about) (?:an? )?(?:different"
        r"|other) operations?\b",
        rf"{lead}\b(?:another|second|third|fourth|fifth) (?:one|try|attempt|option|way|approach|possibility)\b"
        r"(?! (?:is|was|seems|looks|has|uses|gives|works|being|closer|simpler|shorter)\b)",
        rf"{lead}\b(?:try|attempt|tried|trying|do|use|think|approach|consider|start|begin|pair|group|split|arrange"
        r"|order|combin\w+)\b[^,.;:]{0,40}?\b"
        r"(?:again|another|something else|something different|differently|anew|else|otherwise)\b",
        rf"{lead}\balternative(?:ly)?\b",
        r"(?:(?:if|so|but|maybe|perhaps|what if) )?(?:(?:we|i|let's|let me|try) )?\binstead\b(?! of)",
        r"\b(?:revised?|revising|second|third|fourth|updated|new|alternate) (?:my |the |our )?plan\b",
        r"\bnext (?:attempt|try|combination|option|approach|possibility)\b",
        rf"{lead}\bstart(?:ing)? (?:over|again|afresh|from scratch|fresh|from (?:the )?(?:N+|beginning))\b",
        r"\bfrom scratch\b",
        r"\ba(?:nother)? (?:correct|valid|better|possible|right|working|proper) (?:path|way|route|solution|approach"
        r"|combination)"
        r" (?:might|could|may) be\b",
        r"^\W*(?:back(?:ing)? up|revis(?:e|ing))(?: again)?\W*$",
        rf"{lead}\b(?<!keep )(?<!keeps )(?<!kept )(?:go|going|goes|went|come|coming|return|returning|returns|step"
        rf"|stepping|back|backing|get|circle|head"
        rf"|move)"
        r" (?:back|up a step)\b(?! and forth)",
        r"\bback to (?:the (?:start|beginning|drawing board|original)|square one|N+|basics|where)",
        rf"{lead}\b(?:return(?:ing)? to|backtrack\w*|(?:scrap|drop)(?:ping)? (?:that|this|it)\b"
        r"|discard\w*|abandon\w*)",
        rf"{lead}\bforget (?:that|this|it|about)\b",
        rf"{lead}\bchange (?:my |the |our )?(?:strategy|approach|tack|plan|course)\b",
        rf"{lead}\bswitch\w* (?:to|things|approach|it|the order|strategy|up|gears)\b",
        rf"{lead}\b(?:rethink|reconsider|revisit|re-think)\w*",
        r"\bon second thought\b",
        rf"{lead}\b(?:the other way(?: around)?|vice versa)\b",
        r"\bmov(?:ing|e) (?:on|to node|back)\b",
        rf"{lead}\bother (?:combination|option|approache|possibilitie|way|operation|order|pair|idea|method)s\b",
        rf"{lead}\brevers(?:e|ing) the order\b",
        rf"{lead}\b(?:work|think|reason|start|go)(?:ing)? (?:(?:it|about it|this|things) )?"
        r"(?:backwards?|in reverse|(?:back )?from the (?:target|goal|end|result|other (?:end|side)))\b",
    )


_STRONG: Final = _strong(_LEAD, r"(?:\w+ )?")
_STRONG_CORE: Final = _strong("", "")
"""Matches the same clauses as `_STRONG` and is a tenth as slow, since it tries no lead-in at every place."""
_NUMBERED: Final = compiled(
    r"^\W*(?:attempt|option|case|try|approach|combination|method|trial|possibility|candidate|path|branch|idea"
    r"|strategy)s?"
    r" ?#?(?:N+|T+|[b-h]|two|three|four|five|six)\b(?! \w+ (?:is|was)\b)",
    r"^\W*(?:second|third|fourth|fifth|sixth|next|last) (?:attempt|option|try|approach|combination|method|possibility"
    r"|idea)\b",
)
_DO: Final = (
    r"(?:try|use|do|start|form|find|write|create|take|test|consider|add|subtract|multiply|divide|combine|explore"
    r"|experiment"
    r"|pair|group|begin|focus|go|make|calculate|compute|build|mix|swap|attempt|put|apply|directly|approach|think of"
    r"|look at"
    r"|play|work|see what happens|see if we|see if i|replace|plug|rearrange|reorder)"
)
_WEAK: Final = compiled(
    r"\b(?:let(?:'s| me| us)|i'll|i will|we'll|i could|we could|i can|we can|i might|we might|i'd|going to|want to)\b"
    rf"[^,.;:]{{0,30}}?\b{_DO}\b",
    r"\btry(?:ing)?\b",
    r"\battempt(?:ing)?\b",
    r"\bwhat if\b",
    r"\bhow about\b",
    r"\bwhat about\b",
    r"\bmaybe\b",
    r"\bperhaps\b",
    r"\bsuppose\b",
    r"\bconsider(?:ing)?\b",
    r"\bpossib(?:ly|le)\b",
    r"\bif (?:we|i|you)\b",
    r"\b(?:we|i|one) (?:may|might|can|could) also\b",
    r"\bcould be\b",
    r"\bor (?:maybe|perhaps|else|try|we|i|use)\b|^\W*or\b",
    r"\bhow would\b",
    r"\bexploring\b",
    r"\b(?:a|an|the|here's a|here is a|more|this|one|simple|valid|correct|possible|straightforward) (?:\w+ ){0,3}"
    r"(?:solution|expression|equation|combination|option|way|answer|possibility|approach|one|alternative|path|route"
    r"|plan|idea|candidate|grouping|choice)"
    r" (?:is|would be|could be|might be|can be|may be)\b",
)
_WEAK_WORDS: Final = words_of(
    """
    let let's i i'll i'd we we'll one could can might may going want try trying attempt attempting what how maybe
    perhaps suppose consider considering possibly possible if or exploring is be
    """
)
"""A clause without any of these words has none of the phrases."""
_TURNS: Final = compiled(
    r"\b(?:try|trying|think of|think about|consider|considering|maybe|perhaps|what if|how about|what about)\b"
    r"(?! instead of)[^.]{0,25}\b(?:multiplication|division|subtraction|addition"
    r"|multiplying|dividing|subtracting|adding|parentheses|fractions|a product|a quotient)\b",
    r"\b(?:multiplication|division|subtraction|addition) (?:could|might|may|would|first|instead|helps?|next)\b",
    r"\bwhat if (?:we|i) (?:\w+ )?(?:subtract|add|divide|multiply|use|combine|start)\b",
    r"^\W*(?:using|with|via|through|by) (?:multiplication|division|subtraction|addition|fractions|products?|quotients?)"
    r"\W*$",
)
_TURN_WORDS: Final = words_of(
    """
    multiplication division subtraction addition multiplying dividing subtracting adding parentheses fractions product
    products quotient quotients subtract add divide multiply use combine start
    """
)
_THINKS: Final = compiled(
    r"^\W*(?:(?:so|but|hmm|ok|okay|wait|well|first|now|alright|again|and)\W+)*(?:let(?:'s| me| us)) (?:just |quickly )?"
    r"(?:think|see|list|look|note|recall|check|verify|restate|summari[sz]e|start by (?:listing|noting|looking)"
    r"|consider the (?:numbers|problem))\b(?! (?:of|if (?:we|i) can|what happens|at N|about))"
)
_ASIDE: Final = compiled(
    r"^\W*(?:wait|hmm+|hm|ok|okay|but|however|so|then|now|no|oh|well|actually|aha|ah|alright|hold on|let's think"
    r"|let me think|next|again|also|and|let's see|let me see|first|another|but wait|no wait|oh wait|thinking|think"
    r"|still"
    r"|then again|for example|for instance|say|pero|aber|mais|等等|不过|但是|那么|那)\b"
)
_OPENING: Final = compiled(
    r"\b(?:different|various|several|some|all|possible|many|other|multiple|few)(?: \w+)? (?:combinations|ways"
    r"|operations"
    r"|approaches|options|possibilities|orders|arrangements|pairs|ideas|expressions)\b"
)
_BARE: Final = compiled(
    r"^\W*(?:(?:let's|let me|i'll|now|then|or|next|we|so|maybe|wait|also)\W+)*"
    r"(?:try|trying|attempt|test|consider|testing|试|尝试|试试|probemos|essayons|versuch)\W*$"
)
_BREAKS: Final = compiled(
    r"^\W*(?:(?:but|oh|no|hmm|or|so|and)\W+)*(?:wait|alternatively|hold on|or|actually|another)\b"
)
_TRIGGERS: Final = words_of(
    """
    another different alternative alternatively new again else differently anew otherwise something second third
    fourth fifth sixth last instead next start starting scratch back return returning backtrack backtracking
    backward backwards reverse reason reasoning
    scrap scrapping discard discarding abandon forget drop dropping work working
    undo change switch switching rethink reconsider revisit thought
    other moving move reverse reversing vice try tried trying attempt attempting let's let i'll i we'll i'd
    going want what how maybe perhaps suppose consider considering possibly possible if could or would exploring
    solution expression equation combination option way answer possibility approach one wait hmm hm ok okay but
    however so then now no oh well actually aha ah alright hold first think thinking still for say and also
    pair group split arrange order may might case
    method trial candidate path branch idea strategy hmmm multiplication division subtraction addition
    multiplying dividing subtracting adding revised revise revising plan backing updated alternate
    """
)

_RETURNS: Final = compiled(r"\bke(?:ep|eps|pt) (?:coming|going|getting|circling|returning)\b")
"""A habit told of, not a path taken up again."""

CHECK_WORDS: Final = words_of(
    """
    verify verifying verification verifies check checking checks double recheck rechecking confirm confirming
    validate validating recalculate recalculating recompute recomputing reevaluate sanity sure proof probe
    prüfen prüfe überprüfen überprüfung kontrolle comprobemos comprobar comprobación verifiquemos verificar
    verificación verifica vérifions vérification vérifie indeed really
    """
)
CHECK: Final = compiled(
    r"^\W*(?:(?:oh|wait|no|hm+|but)\W+)*(?:indeed|really|(?:is|was) (?:that|it) (?:really )?(?:so|true|right"
    r"|correct))\W*$",
    r"\b(?:verif(?:y|ying|ication|ies)|double[- ]?check(?:ing)?|re-?check(?:ing)?|check(?:ing|s)?\b(?! out\b)"
    r"|confirm(?:ing)?|validat(?:e|ing)|re-?calculat(?:e|ing)|re-?comput(?:e|ing)|re-?evaluat(?:e|ing)|make sure"
    r"|proof|probe|(?:über)?prüf\w*|kontrolle|comprob\w+|verific\w+|vérifi\w+)\b",
    r"验证|检查|检验|核对|验算",
)
RESTATE_WORDS: Final = words_of(
    """
    so thus hence therefore words means equation expression solution answer formula final finally overall
    altogether combine combining putting together written rewrite rewriting simplify simplifying simplifies
    equivalent same recap summary steps result conclusion ergo entonces also donc alors luego así
    """
)
ANSWER: Final = compiled(
    r"\b(?:final|the|my|our) answer\b(?! (?:is )?(?:not|incorrect|wrong))",
    r"\bfinal (?:equation|expression|solution|result)\b",
    r"\b(?:the|my|our) (?:closest|nearest|best)\b(?: \w+){0,5}? (?:is|was)\b",
    r"^\W*answer\W*$|\bboxed\b|答案|最终|\brespuesta\b|\bantwort\b|\blösung\b|\bréponse\b",
    r"\b(?:so|thus|therefore|hence)\b[^.]{0,12}\b(?:equation|expression|solution|answer|combination)\b",
)
ANSWER_WORDS: Final = words_of(
    """
    answer equation expression solution result combination boxed respuesta antwort lösung réponse closest nearest best
    """
)
CARRIES: Final = compiled(
    r"^\W*(?:(?:so|and|then|now|hence|thus|therefore)\W+)*(?:(?:this|that|which|it|we)(?: (?:then|now|would|will))?"
    r" (?:gives?|equals?|becomes?|simplif(?:y|ies)|gets?|yields?|results?|evaluates?|reduces?|makes?|leaves?|have|is"
    r"|means)"
    r"|giving|leaving|resulting|equals|which means|that is|i\.?e)\b[\w' ]{0,20}$"
)
REJECTS: Final = compiled(
    r"\bnot (?:be |seem )?(?:sure|helpful|useful|promising|going to|helping|feasible|possible)\b|n't (?:help|seem"
    r"|look|useful|helpful"
    r"|feasible|have|possible)|\bnot the way\b|\bno use\b|\bstuck\b|\bunlikely\b|\buseless\b|\bnot seeing\b"
    r"|\bimpossible\b|\b(?:cannot|can't) be (?:done|made|built|formed)\b|做不到|办不到"
)
REJECT_WORDS: Final = words_of(
    """
    sure helpful useful promising going helping feasible possible help seem look have way use stuck unlikely useless
    seeing impossible done made built formed
    """
)
DOUBT_WORDS: Final = words_of(
    """
    but however unused left remaining leftover unfortunately wait although though except still missing without
    twice haven't didn't not pero aber leider mais sin falta faltan ohne fehlt sans manque
    """
)


def find(clause: str, words: set[str]) -> Marker:
    """Return the marker of a folded, masked clause, or `NONE`."""
    other = foreign.speaks(clause, words)
    if not (other or words & _TRIGGERS):
        return NONE
    strong = heading = _NUMBERED.search(clause)
    opening = _OPENING.search(clause)
    if strong is None and not (opening and "other" not in words) and _RETURNS.search(clause) is None:
        strong = _STRONG.search(clause) if _STRONG_CORE.search(clause) else None
    weak = None if words.isdisjoint(_WEAK_WORDS) else _WEAK.search(clause)
    if other:
        strong = strong or foreign.NUMBERED.search(clause) or foreign.STRONG.search(clause)
        weak = weak or foreign.WEAK.search(clause)
    thinks = strong is None and _THINKS.search(clause) is not None
    if thinks:
        weak = None
    turns = not thinks and not words.isdisjoint(_TURN_WORDS) and _TURNS.search(clause) is not None
    aside = thinks or _ASIDE.search(clause) is not None
    if not (weak or strong or aside or opening or turns):
        return NONE
    first = strong or weak
    return Marker(
        strong=strong is not None,
        weak=weak is not None or opening is not None or turns,
        aside=aside,
        bare=_BARE.search(clause) is not None,
        heading=heading is not None,
        turns=turns,
        breaks=weak is not None and _BREAKS.search(clause) is not None,
        at=first.start() if first else 0,
    )
