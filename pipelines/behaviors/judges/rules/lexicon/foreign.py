"""Verdicts, markers and goals in Chinese, Spanish, German and French, and a little Portuguese, Italian, Russian."""

import re
from typing import Final

from pipelines.behaviors.judges.rules.lexicon.wording import compiled, words_of

_SCRIPT: Final = re.compile(r"[\u0400-\u04ff\u3040-\u30ff\u3400-\u9fffà-öø-ÿœß¡¿]")
_LATIN: Final = re.compile(r"[a-z]")
_WORDS: Final = words_of(
    """
    demasiado tampoco muy es casi cerca funciona correcto incorrecto exacto exactamente perfecto eso pasa sirve
    otra otro otras otros lugar vez nuevo volvamos alternativamente probemos intentemos intento prueba pruebo
    necesito necesitamos necesita quiero busco buscamos puedo podemos zu nicht passt falsch stimmt richtig genau
    knapp fast leider anders andere anderer anderen anderes stattdessen nochmal erneut versuchen versuch
    probieren probiere vielleicht brauche brauchen benötige benötigen auch funktioniert perfekt trop pas non
    presque parfait c'est exactement marche autrement autre plutôt essayons essaie tentons peut recommençons
    faut besoin n'est ou muito não troppo funziona esatto
    """
)

_BAD: Final = compiled(
    r"不等于|不是|不对|不行|不符合|不满足|不正确|不够|不成立|不可行|错误"
    r"|太大|太小|太高|太低|太多|太少|偏[大小高低多少]|超过|超出|大于 ?T|小于 ?T|比 ?(?:T+"
    r"|目标值?) ?还?要?[大小多少高低]",
    r"大了|小了|高了|低了|多了? ?N|少了 ?N|差 ?N|差一点|差一些|不够|接近|没有达到|失败|不合适|也不|凑不[出成]|≠",
    r"\bdemasiado\b|\btampoco\b|\bmuy (?:alto|bajo|grande|pequeño|cerca)\b",
    r"\bno (?:es|da|son|llega|funciona|sirve|vale|coincide)\b|\b(?:se pasa|nos pasamos|casi|cerca|incorrecto)\b",
    r"\bzu (?:groß|gross|hoch|klein|niedrig|viel|wenig)\b|\bnicht (?:T|das ziel|richtig|gleich|ganz|genug)",
    r"\bpasst (?:auch )?nicht\b|\bfalsch\b|\b(?:knapp|fast|leider nicht)\b|\bauch nicht\b|\bfunktioniert nicht\b",
    r"\btrop (?:grand|petit|haut|bas|élevé|faible|gros)\b|\bpas (?:T|bon|encore|exactement|assez|la cible)",
    r"\bne marche pas\b|\bn'est pas\b|\bnon plus\b|\bpresque\b",
    r"\bmuito (?:alto|baixo|grande|pequeno)\b|\bnão (?:é|funciona)\b|\btroppo (?:grande|piccolo|alto|basso)\b",
    r"\bnon (?:è|funziona)\b|слишком|не равно|не подходит",
)
_GOOD: Final = compiled(
    r"正好|刚好|恰好|正确|成立|成功|符合|满足|达到了?目标|可行|对了|没错|^就是 ?T|^(?:结果)?等于 ?(?:目标|T)",
    r"\bfunciona\b|\bcorrecto\b|\bexact(?:o|amente)\b|\bperfecto\b|\beso es\b",
    r"\bpasst\b|\bstimmt\b|\brichtig\b|\bgenau T|^genau$|\bperfekt\b|\bfunktioniert\b",
    r"\bc'est (?:bon|exact|correct)\b|\bexactement\b|\bparfait\b|\bça marche\b|\bfunziona\b|\besatto\b|подходит|верно",
)
_TALK: Final = compiled(
    r"需要|如何|怎么|目标是|要得到|为了|所以(?:答案|正确|等式)|正确的(?:等式|答案|表达式)|尝试|试试|使用|给定",
    r"\bpara (?:obtener|llegar)|\bnecesit|\bum .* zu (?:bekommen|erhalten|erreichen)\b|\bpour (?:obtenir|arriver)",
)

STRONG: Final = compiled(
    r"换(?:一|个|种|成|其他|别|用)|重新|另一|另外|其他(?:组合|方法|方式)|试试(?:别|其他|另)|再(?:试|来|尝试)"
    r"|改(?:用|变|为)|回到"
    r"|倒推|反推|逆推|从目标|反过来|换[成为到]?[ NT]|放弃|推倒重来|从头",
    r"\botr[ao]s? (?:cosa|combinaci|forma|manera|opci|idea|v[ií]a|enfoque|camino|intento)|\ben (?:su lugar|vez de"
    r"|cambio)",
    r"\bde nuevo\b|\bvolvamos\b|\balternativamente\b",
    r"\banders\b|\bandere[rnsm]? (?:weg|kombination|möglichkeit|ansatz|versuch|idee)|\bstattdessen\b|\bnochmal\b",
    r"\bnoch einmal\b|\berneut\b|\bneue[rns]? (?:ansatz|versuch|weg)",
    r"\bautrement\b|\bautre (?:chose|combinaison|approche|façon|possibilit|essai|piste|idée|solution)|\bplutôt\b",
    r"\bà la place\b|\bde nouveau\b|\brecommen[cç]\w+|\balternativement\b|\bou bien\b",
)
NUMBERED: Final = compiled(
    r"^\W*(?:versuch|intento|essai|opción|option|möglichkeit) ?#?(?:N+|T+)\b",
    r"^(?:方法|尝试|第)(?:二|三|四|五|六| ?N)",
)
WEAK: Final = compiled(
    r"试试|尝试|试|也许|或许|如果|或者|可能|不妨|不如|要不|要么|那么|让我们|先",
    r"\bprob(?:emos|ar|ando|aré)\b|\bintent(?:emos|ar|o|aré)\b|\btal vez\b|\bquizás?\b|\bqué tal\b|\by si\b|\bo bien\b",
    r"\bversuch\w*|\bprobier\w*|\bvielleicht\b|\boder\b|\bwie wäre\b|\bwas ist mit\b|\bwenn\b",
    r"\bessay\w*|\btent\w+|\bpeut-être\b|\bet si\b|\bou\b",
)
GOAL: Final = re.compile(
    r"(?:需要|想要|想办法|设法|如何|怎么|能否|能不能|可以|要|试着|先)[^。.TN]{0,12}?(?:(?:用|由"
    r"|从)?[N ,，、和以及]{1,40})?"
    r"(?:得到|得|凑出|凑成|凑|变成|做出|找到|组成)[^。.NT]{0,4}(?P<zh>N+)"
    r"|(?:还差|还需要?|还要|还缺|需要) ?(?P<zh2>N+)(?! ?[,、和]| ?[NT])"
    r"|(?:需要|要|想办法|设法)让 ?(?P<zh3>N+)(?:[N ,，、和]{0,20})(?:消失|抵消|变成? ?0|为 ?0)"
    r"|\b(?:necesit\w+|requier\w+|quiero|busco|buscamos)\b (?:(?:obtener|conseguir|hacer|llegar a|formar|lograr|un|el"
    r"|otro)"
    r" )*(?P<es>N+)"
    r"|\b(?:puedo|podemos|cómo)\b[^.]{0,20}?(?:obtener|conseguir|hacer|formar|lograr) (?P<es2>N+)"
    r"|\b(?:brauche|brauchen|benötige|benötigen)\b (?:\w+ ){0,3}(?P<de>N+)"
    r"|\b(?:il (?:me|nous) faut|besoin (?:de|d')|(?:puis-je|peut-on|pouvons-nous|comment) (?:obtenir"
    r"|faire)) ?(?P<fr>N+)"
)


_COMPARED: Final = re.compile(r"(?:不是|不等于|不到|≠|大于|小于|超过|凑不[出成]|[得是]) ?N|比 ?N")
"""Chinese that compares with a number; elsewhere the number is a distance: `大了 5`."""


def speaks(clause: str, words: set[str]) -> bool:
    """Return whether a clause may be in one of these languages."""
    return bool(words & _WORDS) or (not clause.isascii() and _SCRIPT.search(clause) is not None)


def only(clause: str) -> bool:
    """Return whether a clause has no Latin letter, so that English need not be tried."""
    return _LATIN.search(clause) is None


def verdict(clause: str) -> tuple[int, str]:
    """Return the polarity of a verdict, 0 if there is none, and what the result is compared with."""
    if _TALK.search(clause):
        return 0, ""
    versus = "T" if "T" in clause or "目标" in clause else ""
    if _BAD.search(clause):
        return -1, versus or ("N" if _LATIN.search(clause) is None and _COMPARED.search(clause) else "")
    return (1, versus) if _GOOD.search(clause) else (0, "")
