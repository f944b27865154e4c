"""Final answers in completions, and numbers in answers, read without evaluating anything."""

import re
from fractions import Fraction
from typing import Final

_LONGEST_BOX: Final = 2000
_MOST_BOXES: Final = 50
"""Boxes looked at from the end of a text, so that a hostile one with many open boxes costs no more."""
_BOX: Final = re.compile(r"\\(?:boxed|fbox)\s*(\{)?")
_TAGGED: Final = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL | re.IGNORECASE)
_HASHES: Final = re.compile(r"####[ \t]*([^\n]+)")
_PHRASE: Final = re.compile(r"\banswer\b\**[ \t]*(?:is\b[ \t]*:?|[:=])\**[ \t]*([^\n]+)", re.IGNORECASE)
_THOUGHT_END: Final = "</think>"


def final_answer(completion: str) -> str | None:
    r"""Return the final answer of a completion as written, or None.

    The last of `\boxed{…}`, `<answer>…</answer>` and `#### …` counts; where there is none, the end of the last line
    with `answer is …` or `answer: …`. A text with `</think>` is searched behind the last of them.
    """
    text = completion.rpartition(_THOUGHT_END)[2]
    found = [place for place in (_last_box(text), _last(_TAGGED, text), _last(_HASHES, text)) if place is not None]
    if not found:
        phrase = _last(_PHRASE, text)
        found = [] if phrase is None else [(phrase[0], phrase[1].rstrip(" .*"))]
    answer = max(found)[1].strip() if found else ""
    return answer or None


def _last(pattern: "re.Pattern[str]", text: str) -> tuple[int, str] | None:
    match = None
    for match in pattern.finditer(text):  # noqa: B007
        pass
    return None if match is None else (match.start(), match[1])


def _last_box(text: str) -> tuple[int, str] | None:
    matches = list(_BOX.finditer(text))
    for match in reversed(matches[-_MOST_BOXES:]):
        if match[1] is None:  # \boxed 5
            word = text[match.end() : match.end() + 1]
            if word.isalnum():
                return match.start(), word
            continue
        depth = 1
        for position in range(match.end(), min(len(text), match.end() + _LONGEST_BOX)):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                return match.start(), text[match.end() : position]
    return None


_LONGEST_NUMBER: Final = 100
_PLAIN: Final = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_NUMBER: Final = re.compile(rf"([+-]?)\s*({_PLAIN})(?:\s*/\s*(\d+))?")
_FRACTION: Final = re.compile(r"([+-]?)\s*\\[dt]?frac\s*(?:\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d)(\d))")
_NOISE: Final = re.compile(r"\\[,!;: ]|\\(?:left|right|displaystyle)\b|\$|\\\$|[€£¥]|\^\{?\\circ\}?|°")
_UNIT: Final = re.compile(r"\\(?:text|mathrm|textbf|mbox)\s*\{[^{}]*\}|(?<=[\d ])\s+[A-Za-z][A-Za-z. ]+$|\\?%$")
_NO_UNITS: Final = frozenset(
    {"pi", "sqrt", "squared", "cubed", "hundred", "thousand", "million", "billion", "trillion", "dozen", "half", "and"}
    | {"or", "over", "plus", "minus", "times", "to", "infinity", "modulo", "mod"}
)
"""Words behind a number that change its value."""


def parse_number(text: str) -> Fraction | None:
    r"""Return the exact value of a number as people and LaTeX write it, or None.

    Read are signs, thousands separators (`1,000,000`), decimals, `3/4`, `\frac{3}{4}`, currency signs, a percent
    sign, and a unit in words behind the number, which is left out. Everything else is no number.
    """
    if len(text) > _LONGEST_NUMBER:
        return None
    text = _NOISE.sub("", text.replace("{,}", ",").replace("−", "-")).strip()
    unit = _UNIT.search(text)
    if unit is not None:
        if _NO_UNITS & set(re.findall(r"[a-z]+", unit[0].lower())):
            return None
        text = text[: unit.start()] + text[unit.end() :]
    text = text.strip().rstrip(".").strip()
    match = _NUMBER.fullmatch(text)
    if match is not None:
        value = Fraction(match[2].replace(",", ""))
        bottom = int(match[3]) if match[3] else 1
    else:
        match = _FRACTION.fullmatch(text)
        if match is None:
            return None
        value = Fraction(int(match[2] or match[4]))
        bottom = int(match[3] or match[5])
    if bottom == 0:
        return None
    return (-value if match[1] == "-" else value) / bottom
