"""What an import notes about a rollout in its `meta`, as text for a reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


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
