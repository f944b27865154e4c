"""What an import notes about a rollout in its `meta`, as text for a reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class MessagePart(NamedTuple):
    """A piece of a completion made of messages."""

    role: str
    kind: str
    """`text`, `thought`, `call` or `result`."""
    start: int
    """Half-open code-point offsets into the completion."""
    end: int


def text_parts(meta: Mapping[str, Any], length: int) -> list[MessagePart]:
    """Return the parts of a completion in their order, without any that does not fit into `length` characters."""
    stated = meta.get("parts")
    found, last = [], 0
    for part in stated if isinstance(stated, list) else ():
        if not isinstance(part, list) or len(part) != 4:
            continue
        role, kind, start, end = part
        if not isinstance(role, str) or not isinstance(kind, str) or type(start) is not int or type(end) is not int:
            continue
        if last <= start <= end <= length:
            found.append(MessagePart(role, kind, start, end))
            last = end
    return found


def gold_text(meta: Mapping[str, Any]) -> str | None:
    """Return the right answer that the imported file states; None without one."""
    gold = meta.get("gold")
    if gold is None:
        return None
    return gold if isinstance(gold, str) else json.dumps(gold, ensure_ascii=False)


def check_lines(meta: Mapping[str, Any]) -> list[str]:
    """Return what the task finds where the imported file states something else; empty where they agree."""
    checked = meta.get("checked")
    if not isinstance(checked, Mapping):
        return []
    said = []
    if isinstance(checked.get("reward"), int | float):
        said.append(f"reward {checked['reward']:g}")
    if isinstance(checked.get("correct"), bool):
        said.append("correct" if checked["correct"] else "not correct")
    if "answer" in checked:
        answer = checked["answer"]
        said.append(f"answer {answer}" if isinstance(answer, str) else "no answer")
    return [f"the task {checked.get('task', '')} finds {', '.join(said)}; the file states another"] if said else []
