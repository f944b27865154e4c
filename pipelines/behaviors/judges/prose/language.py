"""Detects texts in languages other than English, by scripts and function words, without a package or model."""

import re
from collections import Counter
from functools import cache
from typing import Final

_MAX_CHARACTERS: Final = 20_000
"""Number of leading characters that the language is detected from."""
_FEWEST_LETTERS: Final = 12
_FOREIGN_SHARE: Final = 0.3
"""Share of letters of other scripts from which on a text is not English; Greek, as in formulas, is not counted."""
_FEWEST_WORDS: Final = 4
"""Function words of another language, at least these, and more than English ones."""
_SHORT: Final = 25
"""Number of words up to which two different function words tell a language, if hardly any word is English."""
_SHORT_SHARE: Final = 0.2
"""Share of these function words among the words of a short text, at least."""
_ENGLISH_TOO: Final = frozenset((
    "also", "are", "as", "come", "dan", "data", "den", "die", "do", "dos", "du", "er", "het", "hon", "land", "las",
    "los", "man", "me", "men", "met", "more", "mal", "no", "non", "not", "on", "op", "par", "per", "pour", "son",
    "sont", "sur", "si", "so", "te", "till", "to", "tot", "una", "van", "want", "was", "we", "will",
))  # fmt: skip
"""Words that English texts contain too, as words or in names: they tell nothing in a short text."""

_SCRIPTS: Final[dict[str, str]] = {
    "Chinese or Japanese": "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff66-\uff9f\U00020000-\U0003134f",
    "Korean": "\u1100-\u11ff\uac00-\ud7af",
    "Cyrillic": "\u0400-\u052f",
    "Arabic": "\u0600-\u06ff\u0750-\u077f",
    "Hebrew": "\u0590-\u05ff",
    "Indic": "\u0900-\u0dff",
    "Thai": "\u0e00-\u0e7f",
    "Lao": "\u0e80-\u0eff",
    "Burmese": "\u1000-\u109f",
    "Khmer": "\u1780-\u17ff",
    "Armenian": "\u0530-\u058f",
    "Georgian": "\u10a0-\u10ff",
    "Ethiopic": "\u1200-\u137f",
}
_GREEK_WORD: Final = re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]{4,}")
"""Four Greek letters in a row are a word; fewer may be a formula."""
_FOREIGN: Final = re.compile(f"[{''.join(_SCRIPTS.values())}]")
_LATIN: Final = re.compile(r"[A-Za-z\u00c0-\u024f]")
_WORD: Final = re.compile(r"[a-z\u00df-\u024f]{2,}")

_FUNCTION_WORDS: Final[dict[str, str]] = {
    "English": "the and of to is in that it for be we as this so let are with by if not can but have then now which"
    " from need since check wait they there where what when will would should has was",
    "German": "der die das und ist nicht ein eine zu den von mit wir also dass sich auf für dann wenn aber auch als"
    " sind wird kann es ich mal noch hier durch gilt muss nun",
    "French": "le la les et est une des que pour dans nous donc pas qui sur avec par ce on du alors mais cette"
    " vérifions il sont ou si être plus aux",
    "Spanish": "el la los las es una que para por con se del entonces pero como si esto más también lo tenemos vamos su"
    " al hay son ser está",
    "Italian": "il la di che una per non con si della quindi ma come questo sono è gli del anche più abbiamo dei nel"
    " essere ora",
    "Portuguese": "os um uma que para por com não se do da então mas como isso mais também temos vamos é são dos na no",
    "Dutch": "het een van dat niet zijn we met voor dus maar als dan ook op te wordt kan deze nu er hebben",
    "Polish": "nie jest się że na do to dla jak ale czy tak więc są po od przez mamy możemy",
    "Turkish": "bir ve bu için ile olan değil olarak daha çok gibi ise biz şimdi sonra",
    "Swedish": "och att det är som en inte på för med vi om så kan av till den har men",
}  # fmt: skip


@cache
def _words_of() -> dict[str, frozenset[str]]:
    return {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}


@cache
def _foreign_words() -> frozenset[str]:
    return frozenset(word for language, words in _words_of().items() if language != "English" for word in words)


def other_language(text: str) -> str | None:
    """Return the language or script of a text that is not English; None for English and where too little tells."""
    head = text[:_MAX_CHARACTERS]
    foreign = [] if head.isascii() else [sign for sign in _FOREIGN.findall(head) if not sign.isdigit()]
    if not head.isascii():
        latin, greek = len(_LATIN.findall(head)), sum(map(len, _GREEK_WORD.findall(head)))
        if len(foreign) > latin or (
            len(foreign) >= _FEWEST_LETTERS and len(foreign) > _FOREIGN_SHARE * (len(foreign) + latin)
        ):
            return _script_of(foreign)
        if greek > latin:
            return "Greek"
    counts = Counter(_WORD.findall(head.lower()))
    english = sum(counts[word] for word in _words_of()["English"] if word in counts)
    if sum(counts[word] for word in counts.keys() & _foreign_words()) <= max(_FEWEST_WORDS - 1, 1.5 * english):
        return _language_of_few_words(counts)  # no language can have more
    score = {language: sum(counts[word] for word in words if word in counts) for language, words in _words_of().items()}
    del score["English"]
    best = max(score, key=lambda language: score[language])
    return best if score[best] >= _FEWEST_WORDS and score[best] > 1.5 * english else None


def _language_of_few_words(counts: Counter[str]) -> str | None:
    """Return the language of a short text of at least two of its function words; None where that cannot be told."""
    words = counts.keys()
    if len(words) > _SHORT:
        return None
    telling = words - _ENGLISH_TOO
    found = {language: len(telling & known) for language, known in _words_of().items() if language != "English"}
    best = max(found, key=lambda language: found[language])
    few = max(2, 1 + 2 * len(words & _words_of()["English"]), _SHORT_SHARE * len(words))
    return best if found[best] >= few else None


def _script_of(letters: list[str]) -> str:
    joined = "".join(letters)
    return max(_SCRIPTS, key=lambda name: len(re.findall(f"[{_SCRIPTS[name]}]", joined)))
