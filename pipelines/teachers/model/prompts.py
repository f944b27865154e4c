"""Prompts for traces by a model: our files, each of which users may replace."""

import hashlib
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from pipelines.errors import InvalidInput
from pipelines.files import canonical_json
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import CountdownTask
from pipelines.teachers.conditions import CONDITIONS

COMMON: Final = ("system", "problem", "manner")
"""Prompts of every condition: the format of traces; the problem; ways of writing, one per line."""
WRITTEN: Final = tuple(name for name, condition in CONDITIONS.items() if condition.origin == "written")
PARTS: Final = (*COMMON, *WRITTEN)
"""Names of all prompt files, without `.md`."""

_HOLE = re.compile(r"\{(numbers|target|operations|manner|index)\}")


@dataclass(frozen=True, slots=True)
class TeacherPrompts:
    """The prompts of one condition."""

    condition: str
    texts: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """Digest of everything that is sent, except problems."""
        return hashlib.sha256(canonical_json([self.condition, dict(self.texts)]).encode()).hexdigest()

    @property
    def system(self) -> str:
        """The system prompt, equal for all problems so that prompt caching works."""
        return f"{self.texts['system']}\n\n{self.texts[self.condition]}"

    def question(self, problem: Problem, task: CountdownTask, index: int, seed: str) -> str:
        """Return the user prompt of a request. No two are equal, so that a problem can have several traces."""
        manners = [line for line in self.texts["manner"].splitlines() if line.strip()]
        holes = {
            "numbers": ", ".join(map(str, problem.numbers)),
            "target": str(problem.target),
            "operations": ", ".join(task.arithmetic.operations),
            "manner": random.Random(f"manner {seed}").choice(manners) if manners else "",
            "index": str(index + 1),
        }
        return _HOLE.sub(lambda match: holes[match[1]], self.texts["problem"])


def load_prompts(condition: str, own: Mapping[str, Path] | None = None) -> TeacherPrompts:
    """Load the prompts of a condition; files in `own` replace ours.

    Raises:
        InvalidInput: a file cannot be read, or a placeholder is missing in `problem`.
    """
    own = own or {}
    folder = files("pipelines.teachers") / "prompts"
    texts = {}
    for name in (*COMMON, condition):
        source = own.get(name) or folder / f"{name}.md"
        try:
            texts[name] = source.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"the prompt {source} cannot be read: {error}") from error
    missing = [hole for hole in ("numbers", "target", "index") if f"{{{hole}}}" not in texts["problem"]]
    if missing:
        raise InvalidInput(
            f"the prompt {own.get('problem')} lacks {' and '.join(f'{{{hole}}}' for hole in missing)}",
            remedy="It needs {numbers}, {target}, and {index}, which keeps requests about one problem apart.",
        )
    return TeacherPrompts(condition, texts)
