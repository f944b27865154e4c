"""Phrases that judge a result: against the target, by size, or by whether it works.

Clauses come folded, with `T` for the target and `N` for other numbers (`cues`).
"""

import re
from dataclasses import dataclass
from typing import Final

from pipelines.behaviors.judges.rules.lexicon import foreign
from pipelines.behaviors.judges.rules.lexicon.wording import any_of, compiled, words_of


@dataclass(frozen=True, slots=True)
class VerdictPhrase:
    """A verdict found in a clause; see `cues.Cue` for the fields."""

    polarity: int = 0
    versus: str = ""
    near: bool = False
    mild: bool = False
    if_reached: bool = False
    alone: bool = False


NONE: Final = VerdictPhrase()

_NAMED: Final = any_of(
    r"(?:the |our |my |your |this |a )?(?:\w+ ){0,2}?(?:target|goal|objective)\b(?: (?:number|value|result|sum"
    r"|of))*(?: T+)?",
    r"(?:the |our )?(?:desired|required|needed|wanted|requested|expected|intended)"
    r" (?:number|value|result|total|sum|outcome|answer|amount|T+)(?: (?:of )?T+)?",
    r"(?:the |our )?(?:number|value|result|total) (?:sought|asked for|looked for|in question|wanted)\b",
    r"(?:what|the (?:number|value|result|total|one)) (?:we|i|you)(?:'re| are| were|'d| need(?:ed)?| want(?:ed)?)\b",
)
_TARGET: Final = any_of("T+", _NAMED)
_FEW: Final = "(?:one|two|three|four|five|six|seven|eight|nine|ten|N+)"
_SIZE: Final = "(?:high|low|big|small|large|much|little|far|great|many|few|short|long)"
_HIGHER: Final = "(?:higher|lower|larger|bigger|smaller|greater|less|more|fewer)"

_NOT: Final = any_of(
    r"\bnot\b",
    r"n't\b",
    r"\bcannot\b",
    r"\bnever\b",
    r"\bnone of\b",
    r"\bneither\b",
    r"\bno (?:\w+ )?(?:combination|way)\b",
    r"≠|!=|=/=|<>|\\neq?\b",
    r"\bunequal\b",
    r"\bnowhere near\b",
    r"\bfar from\b",
    r"\bdiffer(?:s|ent)? from\b",
    r"\bfail(?:s|ed)? to\b",
    r"\binstead of\b",
    r"\brather than\b",
    r"\bmiss(?:es|ed)?\b",
)
_AGAINST_TARGET: Final = compiled(rf"{_NOT}[^.!?\n]{{0,45}}?{_TARGET}", r"\bunequal\b")
_AGAINST_NUMBER: Final = compiled(
    r"(?:\bnot|\bis ?n't|≠|!=|<>|\\neq?|\bnot equal to|n't (?:equal|give|make|reach)(?: to)?)"
    r" ?(?:exactly |quite |even |equal to |a |an )?N+"
)
_SIGNS: Final = compiled(r"^(?:<=?|>=?|[≤≥]) ?T", r"\bN+ ?(?:<|>) ?T+\b")
_INSTEAD: Final = compiled(
    rf"^\W*(?:but|however|yet|while|whereas|when|and) (?:the |our )?(?:(?:target|goal)\b(?: \w+){{0,2}}?|(?:we|i|it"
    rf"|you|what we)\b(?: \w+){{0,2}}? (?:need|needs|want|wanted|needed"
    rf"|require|must|should|looking for|asked for|are after|supposed to)\b(?: \w+){{0,4}}?) {_TARGET}",
    r"^\W*(?:need|needed|should be|want|must be|expected|vs\.?|versus) (?:exactly )?T+\W*$",
)
_TOO: Final = compiled(
    r"\bmiss(?:ed|es|ing)? (?:it )?by\b",
    rf"\btoo {_SIZE}\b",
    r"\boversho\w+",
    r"\bundersho\w+",
    r"\b(?:falls?|falling|comes?|fell|came) (?:\w+ )?(?:up )?short\b",
    r"\b(?:way|far|bit|still|just|slightly|only) off\b",
    r"\boff by\b",
    r"\b(?:miles|leagues|nowhere|a long way|far|still) (?:away|off)\b",
    r"\b(?:target|goal) (?:is |was |has )?(?:not|never) (?:been )?(?:reached|met|hit|matched|achieved|attained)\b",
    r"\b(?:misses|we miss|fall short of|short of) (?:the )?(?:target|goal)\b",
    r"^\W*(?:again |still |here |and )?(?:we|i|it) (?:again |still )?miss(?:ed|es)?\W*$",
    r"\bnot (?:\w+ )?enough\b",
    r"(?:\bnot(?: even)?|\bnowhere|n't(?: even)?)(?: \w+)? (?:close|near)\b",
    r"\bexceed(?:s|ed|ing)?\b",
    r"\bsurpass",
    rf"\bway (?:over|under|above|below|off|past|beyond|{_HIGHER})\b",
)
_COMPARED: Final = compiled(
    r"\b(?:higher|lower|larger|bigger|smaller|greater|less|more|fewer|further|over|under|above|below|beyond|past|near"
    r"|nearer|short of|shy of|close|closer|away from|off from|approach(?:es|ing)|nearly|almost|just)\b"
    rf"(?: than| to| of| by| from| exactly)?(?: (?:N+|one|two|a))*(?: \w+)? ?{_TARGET}",
    rf"\b{_FEW}(?: \w+)? (?:less|more|higher|lower|fewer|above|below|over|under|short|away|off|shy)\b"
    rf"(?: than| of| from)? (?:{_TARGET}|(?:we|i) (?:need|want)|needed|required)",
    rf"(?:\b{_FEW} )?\b{_HIGHER} than (?:needed|required|wanted|desired|asked|allowed|(?:what )?(?:we"
    rf"|i) (?:need|want))",
)
_FILLER: Final = (
    "but|and|that's|it's|this is|which is|that is|still|just|a|bit|little|slightly|way|only|now|again|very|quite|so"
    "|pretty|really|getting|much|hmm|ok|even|too|far|is|oh|well|off|we're|damn|sadly|unfortunately"
)
_SHORT: Final = compiled(
    rf"^(?:\W*(?:{_FILLER})\b)*\W*"
    r"(?:over|under|above|below|short|close|closer|off|higher|lower|high|low|almost|near|nearly|bigger|smaller|larger"
    r"|close call|near miss|overshoot|undershoot"
    rf"|{_FEW} (?:too {_SIZE}|short|off|away|over|under|above|below|shy|more|less))\b"
    r"(?: (?:by|again|still|now|here|there|but|enough|just|only|a|little|bit|N+|one|two|three|no|cigar|try|though)\b)*"
    r"\W*$"
)
_MEASURED: Final = compiled(
    rf"\b{_FEW}(?: \w+)? (?:too {_SIZE}|short|shy|away|too)\b",
    rf"\b(?:off|over|under|short|high|low) by (?:\w+ )?{_FEW}\b",
)
_FAILS: Final = compiled(
    r"(?:n't|\bnot|\bcannot|\bnever)(?: \w+){0,2} work(?:s|ing|ed)?\b",
    r"\bno (?:good|luck|dice|match|solution)\b",
    r"\b(?:does|do|did)(?:n't| not) (?:match|fit|equal|help us reach)\b",
    r"(?:n't|\bnot) (?:\w+ )?(?:correct|right|equal|it|a match|exact)\b(?! (?:to|number))",
    r"\bincorrect\b",
    r"^\W*(?:the |it's |that's )?same (?:miss|failure|wrong result|as before)\b",
    r"\bwrong\b(?! (?:way|order|direction))",
    r"\bfail(?:s|ed|ure)?\b(?! to)",
    r"\bdead end\b",
    r"\bnot (?:quite|exactly|there|yet|good|equal)\b\W*$",
)
_WORKS: Final = compiled(
    r"\b(?:that|this|it|which|one|combinations?|solutions?|expressions?|equations?|yes|and|also|indeed|actually|now)"
    r" (?:does |actually |indeed |also |really |should |finally )?work(?:s|ed)?\b"
    r"(?! (?:with|on|backwards?|through|from|our|my|the|in|toward|towards|by|out))",
    r"^\W*works?\W*$",
    r"\bworks (?:out|perfectly)\b",
    r"\b(?:that|this|it) (?:actually |really )?worked\b",
    r"\bchecks out\b",
)
_CORRECT: Final = compiled(
    r"(?<!\bthe )(?<!\ba )\bcorrect(?:ly)?\b(?! (?:equation|answer|expression|solution|combination|order|way|operation"
    r"|result|one|approach|number|numbers|is|would|formula|sequence))",
    r"\b(?:(?:that|this|it)(?:'s| is)|(?:value|result|total|sum|number|outcome) is) (?:indeed )?(?:right|true)\b",
    r"^\W*(?:so )?(?:this|that|which) is (?:the|a) (?:correct|right|valid) (?:equation|answer|expression|solution"
    r"|combination|one)\b",
)
_VALID: Final = compiled(
    r"\b(?:not|n't|is|are|also|still|in)? ?(?:in)?valid\b(?! (?:equation|expression|solution|combination|answer|way))",
    r"\b(?:uses?|used|using) (?:\w+ ){0,3}(?:N+|T+|one|it)(?: and (?:N+|T+))? (?:twice|two times|more than once|again)",
    r"(?:\bnot|n't) (?:allowed|permitted|an? (?:integer|whole)|exact|whole|even|a solution)\b",
)
_REACHED: Final = compiled(
    rf"\b(?:exactly|precisely|indeed|finally)\W+(?:equals? |equal to |is |gives |what )?{_TARGET}",
    r"\b(?:equals?|equal to|match(?:es|ed|ing)?|hits?|reach(?:es|ed)|achiev(?:es|ed)|meets|satisf(?:y|ies)|is|are|was"
    rf"|gives|gives us|gave|got|yields|produces|gets us|at) (?:\w+ )?{_NAMED}",
    rf"'s (?:\w+ )?{_NAMED}",
    r"\b(?:we|i)(?:'ve| have)? (?:now |finally |just )?(?:reached|hit|arrived at|found|made) T+",
    r"\b(?:target|goal) reached\b",
    r"^\W*(?:and |so )?(?:this|that) (?:one )?is (?:it|right|the one|good)\b",
    r"^\W*(?:that|this|it|which) (?:then |now |also |indeed |already )?(?:reaches|hits) (?:exactly )?T+",
    r"^= ?(?:the |our )?target",
    r"^\W*this one (?:is|fits|does it)\b",
    r"\b(?:equals?|match(?:es)?|hits?|is indeed|is now) (?:to )?T+",
    r"^T+ (?:is|=|equals) T+\W*$",
    r"\b(?:target|goal) (?:is |was |has been )?(?:reached|achieved|hit|met|found|matched|attained)\b",
    r"\b(?:total|sum|value|result) (?:is|equals|comes to) (?:then |now |indeed )?(?:exactly |precisely )?T+",
    r"\bas (?:required|desired|needed|wanted)\b",
    r"\bexactly (?:right|what|it|the number|the (?:value|result) we)\b",
)
_REACHED_NUMBER: Final = compiled(
    r"^(?:(?:oh|nice|great|yes|wow|hey|perfect|ah|again|just|indeed|and|so|but|there's"
    r"|(?:that|this|it|which)(?:'s| is))\W+)*"
    r"T+(?: (?:right away|straight away|already|exactly|indeed|again|now|too))?\W*$"
)
_HURRAH: Final = compiled(
    r"^\W*(?:yes|yeah|yep|yay|hooray|great|excellent|nice|awesome|perfect|bingo|eureka|exactly|correct|right|good"
    r"|success"
    r"|done|wonderful|fantastic|amazing|exact|ok|solved|voil[aà]|woohoo"
    r"|(?:we |i |we've |i've )?(?:got|found|did|have|made|solved) it|there (?:we|you) (?:go|are)|there it is|that's it"
    r"|this is it|that is it|problem solved|jackpot|match|matches|found|a match|it matches|that matches|this matches"
    r"|we have a (?:match|solution|winner)|(?:that|this) does it|works|working|reached|hit|target(?=\W*$)"
    r"|on target|bullseye|good match"
    r"|winner)\b"
    r"(?! (?:enough|try|idea|start|point))"
)
_PLAIN_YES: Final = compiled(
    r"^\W*(?:yes|yeah|yep|great|excellent|nice|awesome|correct|right|good|done|ok|wonderful|fantastic|solved)\b"
)
"""Approval of anything; `exactly` or `works` refer to the target even if the arithmetic is wrong."""
_GROAN: Final = compiled(
    r"^\W*(?:(?:but|and|so|hmm|oh|still|again|ah|damn|unfortunately|sadly|also)\W+)*(?:no|nope|nah|not|not quite"
    r"|not good"
    r"|not there yet|not there|not yet|not exactly|not really|no luck|no good|no match|fail|fails|failed|bad|wrong"
    r"|incorrect|not it|nothing|no success|mismatch|insufficient|too bad|miss|to no avail"
    r"|not this|dead end|not either|neither|no again|doesn't|way too (?:big|small|high|low)|not close|it's not"
    r"|that's not|not quite right|not what we (?:want|need)|not equal|no solution)\W*$",
    r"^no (?:N+|but|because|since|as)\b",
)
_NEAR: Final = compiled(r"\b(?:close|closer|almost|nearly|near)\b")
_TALK: Final = compiled(
    r"\b(?:need|needs|want|must|should|aim|trying|tries) to\b",
    r"\b(?:goal|target|objective|aim|task) (?:number |value )?(?:is|was|=)(?! (?:reached|hit|met|achieved|attained))",
    r"^\W*(?:our |the |my )?(?:target|goal)\b(?! (?:reached|hit|met|achieved|attained|(?:is )?attained))",
    r"\bto (?:get|reach|make|equal|hit|match|obtain|achieve|find|produce|create|give|arrive|be|check|see|verify|ensure"
    r"|form|have)\b",
    r"\b(?:equations?|expressions?|combinations?|solutions?|way|ways|formula|something|results?|anything|pairs?"
    r"|numbers?"
    r"|one|sum) (?:that|which|whose|to|equal|equals|equaling|is)\b"
    r"(?! (?:not|still|also|indeed|exactly|correct|too|equal to the|doesn't|does not))",
    r"\bhow\b",
    r"\bif\b",
    r"\bwhether\b",
    r"\bwhat (?:if|about)\b",
    r"\blet(?:'s| me| us)\b",
    r"\busing the numbers\b",
    r"\b(?:so|thus|therefore|hence) the\b(?! (?:result|total|value|sum|outcome|number is|(?:target|goal) is))",
    r"\bcreate\b",
    r"\bwould\b(?! be (?:too|way|over|under|above|below))",
    r"\bcan (?:we|i|you)\b",
    r"\bmaybe\b",
    r"\bperhaps\b",
    r"\bcould\b",
)
_UNSURE: Final = compiled(
    r"\bnot (?:sure|clear|possible|using|use|used|allowed|helpful|useful|obvious)\b", r"\bno (?:need|other|more)\b"
)
_CONDITION: Final = compiled(
    r"^\W*(?:if|unless|until|so that|to avoid|since i need|what if|in case)\b", r"\bavoid\b", r"\bwithout\b"
)
_GOOD_SIGNS: Final = re.compile("[✓✔✅☑🎉👍]")
_BAD_SIGNS: Final = re.compile("[❌✗✘✖🚫👎☒]")

_NOT_WORDS: Final = words_of(
    """
    not cannot never none neither no unequal nowhere far differ differs different fail fails failed instead rather
    miss misses missed
    """
)
_DENIES: Final = re.compile(r"n't|[≠!<]|=/=|\\ne")
_TOO_WORDS: Final = words_of(
    """
    miss misses missed missing too overshoot overshoots overshot overshooting undershoot undershoots undershot
    undershooting fall falls falling fell come comes came off enough not nowhere isn't wasn't doesn't aren't n't near
    close exceed exceeds exceeded exceeding surpass surpasses surpassed surpassing way away target goal we i it short
    won't can't didn't don't
    """
)
_VALID_WORDS: Final = words_of(
    """
    valid invalid uses use used using not isn't aren't wasn't can't don't doesn't didn't won't cannot
    """
)
"""A clause without any of these words is not searched for the phrases: looking up words is the faster."""
_TRIGGERS: Final = words_of(
    """
    not n't cannot never none neither unequal nowhere far differ differs different fail fails failed failure
    instead rather miss misses missed too overshoot overshoots overshot overshooting undershoot undershoots
    falls fall falling comes came fell short off enough close closer near exceed exceeds exceeded exceeding
    surpass surpasses higher lower larger bigger smaller greater less more fewer further over under above below
    beyond past nearer shy away approaches approaching nearly almost just high low work works worked working
    good luck dice match matches matched incorrect wrong dead correct correctly right true valid invalid twice
    once again exactly precisely indeed finally equals equal hits hit reached reaches achieved achieves meets
    satisfies checks is are was gives got yields produces target goal required desired needed yes yeah yep yay hooray
    great excellent nice awesome perfect bingo eureka success done wonderful fantastic amazing exact ok solved
    found miles leagues long wanted desired asked allowed attained nothing mismatch insufficient avail does total
    sum value same
    there that's it's no nope nah bad doesn't isn't don't didn't won't can't aren't wasn't we've that this
    which voilà we have jackpot bullseye winner way on
    """
)


def find(clause: str, words: set[str]) -> VerdictPhrase:
    """Return the verdict of a folded, masked clause, or `NONE`."""
    if _BAD_SIGNS.search(clause):
        return VerdictPhrase(-1)
    if _GOOD_SIGNS.search(clause):
        return VerdictPhrase(1)
    has_target = "T" in clause
    if foreign.speaks(clause, words):
        polarity, versus = foreign.verdict(clause)
        if polarity or foreign.only(clause):
            return VerdictPhrase(polarity, versus=versus) if polarity else NONE
    if not (has_target or words & _TRIGGERS):
        return NONE
    named = has_target or "target" in words or "goal" in words
    conditional = _CONDITION.search(clause) is not None
    if _GROAN.search(clause):
        return VerdictPhrase(-1, alone=True)
    if _UNSURE.search(clause) and not named:
        return NONE
    if _SIGNS.search(clause) or (has_target and _INSTEAD.search(clause)):
        return VerdictPhrase(-1, versus="T")
    if not conditional:
        denies = not words.isdisjoint(_NOT_WORDS) or _DENIES.search(clause) is not None
        if denies and _AGAINST_TARGET.search(clause):
            return VerdictPhrase(-1, versus="T")
        if denies and _AGAINST_NUMBER.search(clause):
            return VerdictPhrase(-1, versus="N")
        if not words.isdisjoint(_TOO_WORDS) and _TOO.search(clause):
            return VerdictPhrase(-1, versus="T" if named else "")
    talk = _TALK.search(clause) is not None
    if not talk or "which" in words:
        near = _NEAR.search(clause) is not None
        if _COMPARED.search(clause):
            return VerdictPhrase(-1, versus="T", near=near)
        if _SHORT.search(clause) or _MEASURED.search(clause):
            return VerdictPhrase(-1, near=near)
    if not conditional and _FAILS.search(clause):
        return VerdictPhrase(-1)
    if not words.isdisjoint(_VALID_WORDS) and _VALID.search(clause):
        return VerdictPhrase(-1, mild=True)
    return NONE if talk and not clause.startswith(_ASSERTS) else _positive(clause)


_ASSERTS: Final = ("which", "so this", "so that", "this one is", "that one is", "=")


def _positive(clause: str) -> VerdictPhrase:
    if _REACHED.search(clause):
        return VerdictPhrase(1, versus="T")
    if _REACHED_NUMBER.search(clause):
        return VerdictPhrase(1, versus="T", if_reached=True)
    if _CORRECT.search(clause) or _WORKS.search(clause):
        return VerdictPhrase(1)
    if _HURRAH.search(clause):
        return VerdictPhrase(1, if_reached=True, alone=_PLAIN_YES.search(clause) is not None)
    return NONE
