"""What is looked at before a document is judged: is it one at all, in the right language, and how much of it fits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

from pipelines.behaviors.segment import segments
from pipelines.corpus.documents.source import RawDocument
from pipelines.errors import MissingRequirement

RejectionReason = Literal["unreadable", "no_text", "empty", "binary", "too_large", "language"]
"""Why a document is not judged. `no_text`: its text is missing or is no text."""

DocumentFlag = Literal["injection"]

_UNTIDY: Final = 0.05
"""Share of characters no text has (controls, replacement characters, lone surrogates) from which on it is binary."""
_STRANGE: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd\ud800-\udfff]")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_FEWEST_WORDS: Final = 20
"""Fewer words than these tell no language."""
_SURE: Final = 0.9
_TOLD_BY: Final = 600
"""Characters of words by which a language is told."""
_LOOKED_AT: Final = 2_000
"""Characters by which language and kind of data are told."""

_INJECTION: Final = re.compile(
    r"\b(?:ignore|disregard|forget)\b[^.\n]{0,40}\b(?:instruction|prompt|above|previous|rule|question)"
    r"|\b(?:answer|reply|respond|report|return|output|say)\b(?! is)[^.;\n]{0,30}"
    r"\b(?:a|the|with|of|as|this) count\b[^.;\n]{0,20}\d"
    r"|\b(?:answer|reply|respond) (?:with|by) (?:a )?count"
    r"|<\s*/?\s*count\s*>|\"count\"\s*:\s*\d|\byou are (?:now )?(?:an?|the) (?:judge|assistant|grader|evaluator)\b",
    re.IGNORECASE,
)


_SIGNS: Final = ("count", "ignore", "disregard", "forget", "you are")
"""Without one of these the pattern fits nowhere."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that can be judged."""

    number: int
    name: str
    """As the source names it, else `document-NUMBER`."""
    where: str
    text: str
    """As it is judged and kept: cut at a sentence where it was longer than allowed."""
    characters: int
    """Of the whole text."""
    domain: str | None
    numbers: tuple[int, ...]
    target: int
    flags: tuple[DocumentFlag, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """`source` and `licence`, where the source says."""

    @property
    def truncated(self) -> bool:
        """Whether something of it was cut."""
        return len(self.text) < self.characters


@dataclass(frozen=True, slots=True)
class RejectedDocument:
    """A document that is not judged, and why."""

    number: int
    name: str
    where: str
    reason: RejectionReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """The rules of admission."""

    language: str | None
    """ISO 639-1 code that a document must be written in; None takes all."""
    max_bytes: int
    """A larger document is no document but a dump."""
    max_characters: int
    """How much of a document is judged."""

    def screen(self, raw: RawDocument) -> Document | RejectedDocument:
        """The document, or why it is none."""
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
    """Whether a document speaks to whoever judges it, e.g. "answer with count 99"."""
    lowered = text.lower()
    return any(sign in lowered for sign in _SIGNS) and _INJECTION.search(text) is not None


def is_binary(text: str) -> bool:
    """Whether a text is something else read as text."""
    head = text[:_LOOKED_AT]
    return len(_STRANGE.findall(head)) > _UNTIDY * len(head)


def detect_language(text: str) -> str | None:
    """The language of a text as an ISO 639-1 code; None where there are too few words, or no language fits well."""
    words = _WORD.findall(text[:_LOOKED_AT])
    if len(words) < _FEWEST_WORDS and sum(map(len, words)) < 5 * _FEWEST_WORDS:
        return None
    language, sureness = _identifier().classify(" ".join(words)[:_TOLD_BY])
    return str(language) if sureness >= _SURE else None


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ModuleNotFoundError as error:
        raise MissingRequirement(
            "telling the language of documents needs py3langid",
            remedy="Install the extra: pip install 'cogtui[corpus]', or set language = \"\" to take all.",
        ) from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def truncate_at_sentence(text: str, most: int) -> str:
    """The text up to the last sentence that ends within so many characters; up to a word where there is none."""
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
