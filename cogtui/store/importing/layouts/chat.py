"""Conversations in one column: chat `messages` and ShareGPT `conversations`. The last answer is the completion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from cogtui.store.importing.column_importer import ColumnImporter
from cogtui.store.importing.columns import FIELDS, value_at
from cogtui.store.importing.completions import read_completions
from cogtui.store.importing.conversations import read_turns
from cogtui.store.importing.protocol import FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.values import decode_json_text

_BESIDE_CHAT: Final = frozenset(("text", "trace", "prediction", "samples", "code", "predicted_answer"))
"""Columns that may stand beside a conversation without being the completion."""


class ChatImporter(ColumnImporter):
    """Imports rows with a conversation: all that follows the last question is the completion, the rest the prompt."""

    conversation: ClassVar[tuple[str, ...]]
    """Names of the column of the conversation."""

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence if the conversation has an answer, and no other column is a completion."""
        row = sample.rows[0]
        column = next((name for name in self.conversation if name in row), None)
        if column is None:
            return 0.0
        turns = read_turns(decode_json_text(row[column]))
        if not turns or all(turn.role in ("system", "user") for turn in turns):
            return 0.0
        others = set(FIELDS["completion"]) - set(self.conversation) - _BESIDE_CHAT
        return 0.0 if any(read_completions(row.get(name)) is not None for name in others) else 0.85

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return the rollout of the conversation; a system prompt in a column of its own comes first."""
        column = columns.fields["completion"][0]
        decoded = decode_json_text(row.get(column))
        if read_turns(decoded) is not None:  # cells of parquet and CSV files may hold messages as text
            row = {**row, column: decoded}
        system = row.get("system")
        for rollout in super().rollouts(row, columns):
            is_first = isinstance(system, str) and system.strip() and value_at(row, "system") is system
            if not is_first or "prompt" in columns.fields or rollout.prompt.startswith("[system]\n"):
                yield rollout
                continue
            asked = rollout.prompt if rollout.prompt.startswith("[") else f"[user]\n{rollout.prompt}"
            yield replace(
                rollout,
                prompt=f"[system]\n{system}\n\n{asked}",
                question=rollout.question or rollout.prompt,
                computed=[*rollout.computed, "prompt"],
                columns={name: value for name, value in rollout.columns.items() if name != "system"},
            )


class MessagesImporter(ChatImporter):
    """Imports rows with `messages` of `role` and `content`."""

    name = "chat"
    label = "conversations (messages)"
    default_split = "import"
    conversation = ("messages",)
    layout: ClassVar = {**FIELDS, "completion": conversation, "prompt": ()}


class ShareGPTImporter(ChatImporter):
    """Imports rows with `conversations` of `from` and `value`."""

    name = "sharegpt"
    label = "conversations (ShareGPT)"
    default_split = "import"
    conversation = ("conversations", "conversation")
    layout: ClassVar = {**FIELDS, "completion": conversation, "prompt": ()}


MESSAGES: Final = MessagesImporter()
SHAREGPT: Final = ShareGPTImporter()
