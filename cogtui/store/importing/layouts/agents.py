"""Runs of agents: trajectories of SWE-agent and mini-swe-agent, results of tau-bench."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cogtui.store.importing.conversations import Turn, read_turns
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.stated_fields import StatedFields, as_list, as_mapping, exchange_of
from cogtui.store.importing.values import kept_json, read_label, read_number, read_whole


class _AgentImporter:
    """Imports one conversation a row: all from the agent's first turn is the completion."""

    default_split = "test"

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields are fixed."""
        return ImportColumns()


class SweAgentImporter(_AgentImporter):
    """Imports trajectories of SWE-agent (`history`) and mini-swe-agent (`messages`). They state no reward."""

    name = "swe-agent"
    label = "a trajectory of SWE-agent"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence for a history or messages beside `info` with an exit status."""
        first = sample.rows[0]
        info = first.get("info")
        if not isinstance(info, Mapping) or not {"exit_status", "submission"} & set(info):
            return 0.0
        return 0.95 if isinstance(first.get("history", first.get("messages")), list) else 0.0

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return the rollout of a trajectory.

        Raises:
            BadRowError: it has no turn of the agent.
        """
        info = as_mapping(row.get("info"))
        kept = {"exit_status": info.get("exit_status"), "submission": info.get("submission"), "info": info}
        instance = read_label(row.get("instance_id"))
        yield _rollout(
            row.get("history", row.get("messages")),
            problem_id=None if instance is None else str(instance),
            columns={name: kept_json(value) for name, value in kept.items() if value is not None},
        )


class TauBenchImporter(_AgentImporter):
    """Imports results of tau-bench: `traj`, `reward`, `task_id`, `trial`."""

    name = "tau-bench"
    label = "results of tau-bench"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence for a conversation in `traj` beside a task and a reward."""
        first = sample.rows[0]
        return 0.95 if {"traj", "reward", "task_id"} <= set(first) and isinstance(first["traj"], list) else 0.0

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return the rollout of a trial.

        Raises:
            BadRowError: it has no turn of the agent.
        """
        fields = StatedFields()
        task = read_label(row.get("task_id"))
        yield _rollout(
            row.get("traj"),
            problem_id=None if task is None else str(task),
            sample=fields.read("sample", row, "trial", read_whole),
            reward=fields.read("reward", row, "reward", read_number),
            columns={"info": kept_json(row.get("info"))} if row.get("info") else {},
            empty=fields.empty,
        )


def _rollout(messages: Any, **fields: Any) -> ImportedRollout:
    turns: list[Turn] | None = read_turns([_with_role(each) for each in as_list(messages)])
    first = next((place for place, turn in enumerate(turns or ()) if turn.role == "assistant"), None)
    if turns is None or first is None:
        raise BadRowError("no turn of the agent can be read")
    exchange = exchange_of(turns, first)
    return ImportedRollout(
        completion=exchange.completion,
        prompt=exchange.prompt,
        question=exchange.question,
        parts=exchange.parts,
        computed=exchange.computed,
        **fields,
    )


def _with_role(message: Any) -> Any:
    """A message without what repeats its content: SWE-agent keeps the parsed thought beside the text."""
    return (
        {name: value for name, value in message.items() if name != "thought"} if isinstance(message, dict) else message
    )


SWE_AGENT: Final = SweAgentImporter()
TAU_BENCH: Final = TauBenchImporter()
