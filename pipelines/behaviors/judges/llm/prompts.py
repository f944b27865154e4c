"""The prompts of an LLM judge: files of its behaviour set, each of which a user may replace.

A set needs a question for each of its behaviours; every other file it lacks is taken from four_habits.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal

from pipelines.behaviors.sets.definition import PROMPTS, BehaviorSet
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.errors import InvalidInput
from pipelines.files import canonical_json
from pipelines.records import Behavior

JudgeMode = Literal["spans", "count_parity"]

_SHARED: Final[dict[JudgeMode, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "spans": (("system", "trace", "part"), ("answer", "again")),
    "count_parity": (("system", "trace"), ("answer",)),
}
"""Names of the files of each mode apart from the questions: those before and those after them."""


def prompt_names(mode: JudgeMode, behaviors: BehaviorSet = FOUR_HABITS) -> tuple[str, ...]:
    """Return the names of the files of a mode, without `.md`."""
    before, after = _SHARED[mode]
    return (*before, *behaviors.names, *after)


_HOLE = re.compile(r"\{(numbers|target|problem|trace|nonce|part|parts|problems)\}")
_TRACE: Final = "{trace}"
_NUMBERS = re.compile(r"\{(numbers|target)\}")
_PROBLEM: Final = "The writer was given this problem:\n{problem}"


@dataclass(frozen=True, slots=True)
class JudgePrompts:
    """The texts of one mode and behaviour set. Holes like `{target}` are filled in for each trace."""

    mode: JudgeMode
    texts: Mapping[str, str]
    behaviors: tuple[Behavior, ...] = FOUR_HABITS.names
    """Those that are asked about."""

    @property
    def sha256(self) -> str:
        """Digest of all texts, equal for judges with equal prompts."""
        return hashlib.sha256(canonical_json([self.mode, dict(self.texts)]).encode()).hexdigest()

    @property
    def system(self) -> str:
        """The system prompt."""
        return self.texts["system"]

    def shows_trace(self, behavior: Behavior) -> bool:
        """Return whether a question contains the trace itself; it is then sent alone."""
        return _TRACE in self.texts[behavior]

    def shared(self, holes: Mapping[str, str]) -> str:
        """Return the text that all other questions about a trace begin with.

        Without `numbers` among the holes, paragraphs that speak of numbers and target give way to the problem itself.
        """
        text = self.texts["trace"]
        if "numbers" not in holes:
            paragraphs = [part for part in text.split("\n\n") if not _NUMBERS.search(part)]
            stated = any("{problem}" in part for part in paragraphs)
            text = "\n\n".join(paragraphs if stated else [_PROBLEM, *paragraphs])
        return fill(text, holes)

    def question(self, behavior: Behavior, holes: Mapping[str, str]) -> str:
        """Return the question about one behaviour."""
        own = self.texts[behavior]
        return fill(own if self.shows_trace(behavior) else f"{own}\n\n{self.texts['answer']}", holes)

    def part(self, holes: Mapping[str, str]) -> str:
        """Return the note that only a part of the trace is shown."""
        return fill(self.texts["part"], holes)

    def again(self, problems: str) -> str:
        """Return the corrective question about an answer that cannot be used."""
        return fill(self.texts["again"], {"problems": problems})


def fill(text: str, holes: Mapping[str, str]) -> str:
    """Fill the placeholders of a text in one pass: inserted text is not scanned again."""
    return _HOLE.sub(lambda match: holes.get(match[1], match[0]), text)


def load_prompts(
    mode: JudgeMode, own: Mapping[str, Path] | None = None, behaviors: BehaviorSet = FOUR_HABITS
) -> JudgePrompts:
    """Load the texts of a mode.

    Args:
        mode: which questions.
        own: files that replace those of the set, by name.
        behaviors: the set that is asked about.

    Raises:
        InvalidInput: there is no such part, a file cannot be read, or the trace would not be shown.
    """
    own = own or {}
    names = prompt_names(mode, behaviors)
    unknown = sorted(set(own) - set(names))
    if unknown:
        raise InvalidInput(
            f"the mode {mode} has no prompt {', '.join(unknown)}", remedy=f"Its prompts are {', '.join(names)}."
        )
    texts = {}
    for name in names:
        source = own.get(name) or _prompt_of(behaviors, mode, name)
        try:
            texts[name] = source.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"the prompt {source} cannot be read: {error}") from error
    blind = [name for name in behaviors.names if _TRACE not in texts[name]]
    if blind and _TRACE not in texts["trace"]:
        raise InvalidInput(
            f"the prompt {own.get('trace')} does not show the trace",
            remedy="Put {trace} where it belongs; {problem}, {numbers}, {target} and {nonce} are filled in too.",
        )
    return JudgePrompts(mode, texts, behaviors.names)


def _prompt_of(behaviors: BehaviorSet, mode: JudgeMode, name: str) -> Traversable:
    source = behaviors.folder / PROMPTS / mode / f"{name}.md"
    if name in behaviors.names or source.is_file():
        return source
    return FOUR_HABITS.folder / PROMPTS / mode / f"{name}.md"
