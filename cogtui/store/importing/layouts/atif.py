"""ATIF: agent trajectories of Harbor, `trajectory.json`, one document per trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cogtui.store.importing.conversations import read_turns
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.stated_fields import as_list, as_mapping, exchange_of
from cogtui.store.importing.values import kept_json, read_label, read_whole

_ROLES: Final = {"agent": "assistant", "user": "user", "system": "system"}


class AtifImporter:
    """Imports agent trajectories. They state no reward: Harbor writes it to a file of its own."""

    name = "atif"
    label = "an agent trajectory (ATIF)"
    default_split = "test"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence if the first row names the format, or has steps of an agent."""
        first = sample.rows[0]
        named = isinstance(first.get("schema_version"), str) and first["schema_version"].startswith("ATIF")
        return 0.95 if "steps" in first and (named or {"session_id", "agent"} <= set(first)) else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields are fixed."""
        return ImportColumns()

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return the rollout of a trajectory: all steps from the agent's first one.

        Raises:
            BadRowError: the agent took no step.
        """
        messages = [message for step in as_list(row.get("steps")) for message in _messages(as_mapping(step))]
        turns = read_turns(messages)
        if turns is None:
            raise BadRowError("no step can be read")
        exchange = exchange_of(turns)
        if not exchange.completion.strip():
            raise BadRowError("no step of the agent")
        agent, metrics = as_mapping(row.get("agent")), as_mapping(row.get("final_metrics"))
        tokens = read_whole(metrics.get("total_completion_tokens"))
        kept = {
            "agent": agent.get("name"),
            "model": agent.get("model_name"),
            "final_metrics": row.get("final_metrics"),
            "notes": row.get("notes"),
            "extra": row.get("extra"),
        }
        yield ImportedRollout(
            completion=exchange.completion,
            prompt=exchange.prompt,
            question=exchange.question,
            parts=exchange.parts,
            n_tokens=tokens if tokens is not None and tokens >= 0 else None,
            source_id=read_label(row.get("session_id")),
            columns={name: kept_json(value) for name, value in kept.items() if value is not None},
            computed=exchange.computed,
        )


def _messages(step: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """The message of a step, and one for each result that the agent observed."""
    source = step.get("source")
    calls = [
        {"name": each.get("function_name"), "arguments": each.get("arguments")}
        for each in map(as_mapping, as_list(step.get("tool_calls")))
    ]
    yield {
        "role": _ROLES.get(source, "user") if isinstance(source, str) else "user",
        "content": step.get("message"),
        "reasoning_content": step.get("reasoning_content"),
        "tool_calls": calls,
    }
    for result in as_list(as_mapping(step.get("observation")).get("results")):
        yield {"role": "tool", "content": as_mapping(result).get("content")}


IMPORTER: Final = AtifImporter()
