"""Filter before judging: rejects what is not a readable document in the right language, and truncates long ones."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

from pipelines.behaviors.segment import segments
from pipelines.corpus.documents.source import RawDocument
from pipelines.errors import MissingRequirement

RejectionReason = Literal["unreadable", "no_text", "empty", "binary", "too_large", "language"]
"""Why a document is not judged. `no_text`: the text is missing or not a string."""

DocumentFlag = Literal["injection"]

_UNTIDY: Final = 0.05
"""Fraction of control, replacement and lone surrogate characters above which a text counts as binary."""
_STRANGE: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd\ud800-\udfff]")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_FEWEST_WORDS: Final = 20
"""Fewest words from which a language is detected."""
_SURE: Final = 0.9
_TOLD_BY: Final = 600
"""Characters of words from which the language is detected."""
_ENGLISH_TEXT: Final = (
    "the and of that this with which have then are from be by if can they when what would should has was for not but"
    " our we is to it"
)
_ENGLISH: Final = frozenset(_ENGLISH_TEXT.split())
_ENGLISH_SHARE: Final = 0.2
"""Share of these words from which a text is English.

This takes a tenth of the time of the language model, which agreed on 2,433 of 2,434 such texts and was uncertain about
the other.
"""
_ENGLISH_WORDS: Final = 5
"""Fewest different ones."""
_LOOKED_AT: Final = 2_000
"""Characters at the start of a text that are examined."""

_INJECTION: Final = re.compile(
    r"\b(?:ignore|disregard|forget)\b[^.\n]{0,40}\b(?:instruction|prompt|above|previous|rule|question)"
    r"|\b(?:answer|reply|respond|report|return|output|say)\b(?! is)[^.;\n]{0,30}"
    r"\b(?:a|the|with|of|as|this) count\b[^.;\n]{0,20}\d"
    r"|\b(?:answer|reply|respond) (?:with|by) (?:a )?count"
    r"|<\s*/?\s*count\s*>|\"count\"\s*:\s*\d|\byou are (?:now )?(?:an?|the) (?:judge|assistant|grader|evaluator)\b",
    re.IGNORECASE,
)


_SIGNS: Final = ("count", "ignore", "disregard", "forget", "you are")
"""A text without any of these cannot match the pattern."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document to judge."""

    number: int
    name: str
    """Its name in the source, else `document-NUMBER`."""
    where: str
    text: str
    """The text that is judged and kept, truncated at a sentence if it was too long."""
    characters: int
    """Length of the whole text."""
    domain: str | None
    numbers: tuple[int, ...]
    target: int
    flags: tuple[DocumentFlag, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """`source` and `licence`, if the source has them."""

    @property
    def truncated(self) -> bool:
        """Whether the text was truncated."""
        return len(self.text) < self.characters


@dataclass(frozen=True, slots=True)
class RejectedDocument:
    """A document that is not judged, with the reason."""

    number: int
    name: str
    where: str
    reason: RejectionReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents are judged."""

    language: str | None
    """ISO 639-1 code of the required language; None accepts all."""
    max_bytes: int
    """Larger documents are rejected."""
    max_characters: int
    """Longer documents are truncated to this."""

    def screen(self, raw: RawDocument) -> Document | RejectedDocument:
        """Return the document to judge, or the rejection."""
        values = raw.values or {}
        name = str(values.get("id") or f"document-{raw.number}")[:200]

        def no(reason: RejectionReason, detail: str = "") -> RejectedDocument:
            return RejectedDocument(raw.number, name, raw.where, reason, detail)

        if raw.values is None:
            return no("too_large" if raw.problem == "too_large" else "unreadable", "the line is no JSON object")
        text = values.get("text")
        if not isinstance(text, str):
            return no("no_text", f"the text is {type(text).__name__}")
        if not text.strip():
            return no("empty")
        if len(text) > self.max_bytes or len(text.encode("utf-8", "surrogatepass")) > self.max_bytes:
            return no("too_large", f"{len(text):,} characters")
        if is_binary(text):
            return no("binary")
        if self.language:
            found = detect_language(text)
            if found is not None and found != self.language:
                return no("language", found)
        numbers, target = _puzzle(values)
        return Document(
            number=raw.number,
            name=name,
            where=raw.where,
            text=truncate_at_sentence(text, self.max_characters),
            characters=len(text),
            domain=_text(values, "domain"),
            numbers=numbers,
            target=target,
            flags=("injection",) if has_prompt_injection(text) else (),
            facts={key: value for key in ("source", "licence") if (value := _text(values, key)) is not None},
        )


def has_prompt_injection(text: str) -> bool:
    """Return whether a document addresses its judge, e.g. "answer with count 99"."""
    lowered = text.lower()
    return any(sign in lowered for sign in _SIGNS) and _INJECTION.search(text) is not None


def is_binary(text: str) -> bool:
    """Return whether a text is binary data."""
    head = text[:_LOOKED_AT]
    return len(_STRANGE.findall(head)) > _UNTIDY * len(head)


def detect_language(text: str) -> str | None:
    """Return the ISO 639-1 code of a text's language; None for too few words or an uncertain result."""
    words = _WORD.findall(text[:_LOOKED_AT])
    if len(words) < _FEWEST_WORDS and sum(map(len, words)) < 5 * _FEWEST_WORDS:
        return None
    told = " ".join(words)[:_TOLD_BY]
    if _is_plainly_english(told):
        return "en"
    language, sureness = _identifier().classify(told)
    return str(language) if sureness >= _SURE else None


def _is_plainly_english(told: str) -> bool:
    words = told.lower().split(" ")
    english = [word for word in words if word in _ENGLISH]
    return len(english) >= _ENGLISH_SHARE * len(words) and len(set(english)) >= _ENGLISH_WORDS


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ModuleNotFoundError as error:
        raise MissingRequirement(
            "detecting the language of documents needs py3langid",
            remedy="Install the extra: pip install 'cogtui[corpus]', or set language = \"\" to accept all.",
        ) from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def truncate_at_sentence(text: str, most: int) -> str:
    """Truncate a text after its last sentence within `most` characters, or after a word if there is none."""
    if len(text) <= most:
        return text
    end = 0
    for _, stop in segments(text[: most + 1])[:-1]:
        if stop <= most:
            end = stop
    if end < most // 2:
        space = text.rfind(" ", most // 2, most)
        end = max(end, space if space > 0 else most)
    return text[:end].rstrip()


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    return value.strip()[:200] if isinstance(value, str) and value.strip() else None


def _puzzle(values: Mapping[str, Any]) -> tuple[tuple[int, ...], int]:
    """The numbers and target a document is about, if the source says; else none and 0."""
    numbers, target = values.get("numbers"), values.get("target")
    given = [number for number in numbers or () if isinstance(number, int)] if isinstance(numbers, list | tuple) else []
    if not given or not isinstance(target, int) or isinstance(target, bool):
        return (), 0
    return tuple(given), target
