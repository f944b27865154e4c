"""ATIF: agent trajectories of Harbor, `trajectory.json`, one document per trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from cogtui.store.importing.conversations import read_turns
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.siblings import SiblingFiles
from cogtui.store.importing.stated_fields import as_list, as_mapping, exchange_of
from cogtui.store.importing.values import kept_json, read_label, read_number, read_whole

_RESULT: Final = "../result.json"
_REWARD_JSON: Final = "../verifier/reward.json"
_REWARD_TEXT: Final = "../verifier/reward.txt"
_ROLES: Final = {"agent": "assistant", "user": "user", "system": "system"}


class AtifImporter:
    """Imports agent trajectories. They state no reward: Harbor writes it to files of the trial beside them."""

    sibling_names = (_RESULT, _REWARD_JSON, _REWARD_TEXT)
    name = "atif"
    label = "an agent trajectory (ATIF)"
    default_split = "test"

    def __init__(self, siblings: SiblingFiles | None = None) -> None:
        self._siblings = siblings

    def beside(self, siblings: SiblingFiles) -> AtifImporter:
        """Return the importer for the trajectory of a trial."""
        return AtifImporter(siblings)

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
        trial = _Trial() if self._siblings is None else _read_trial(self._siblings)
        kept = {
            "agent": agent.get("name"),
            "model": agent.get("model_name"),
            "final_metrics": row.get("final_metrics"),
            "notes": row.get("notes"),
            "extra": row.get("extra"),
            "rewards": trial.rewards or None,
            "trial": trial.name,
            "exception": trial.exception,
        }
        yield ImportedRollout(
            completion=exchange.completion,
            prompt=exchange.prompt,
            question=exchange.question,
            parts=exchange.parts,
            problem_id=trial.task,
            reward=_only_reward(trial.rewards),
            n_tokens=tokens if tokens is not None and tokens >= 0 else None,
            source_id=read_label(row.get("session_id")),
            columns={name: kept_json(value) for name, value in kept.items() if value is not None},
            computed=exchange.computed,
        )


class _Trial(NamedTuple):
    """What Harbor writes about a trial beside its trajectory."""

    rewards: Mapping[str, Any] = {}
    task: str | None = None
    name: str | None = None
    exception: str | None = None


def _read_trial(siblings: SiblingFiles) -> _Trial:
    result = as_mapping(next(siblings.rows(_RESULT), None))
    rewards = as_mapping(as_mapping(result.get("verifier_result")).get("rewards"))
    if not rewards and not result.get("exception_info"):  # of a verifier that ran alone
        rewards = as_mapping(next(siblings.rows(_REWARD_JSON), None))
        text = siblings.text(_REWARD_TEXT)
        if not rewards and text is not None:
            rewards = {"reward": text.strip()}
    exception = as_mapping(result.get("exception_info")).get("exception_type")
    task, name = result.get("task_name"), result.get("trial_name")
    return _Trial(
        rewards,
        task if isinstance(task, str) and task else None,
        name if isinstance(name, str) else None,
        exception if isinstance(exception, str) else None,
    )


def _only_reward(rewards: Mapping[str, Any]) -> float | None:
    """The reward of that name, or the only one; of several others none is the reward."""
    if "reward" in rewards:
        return read_number(rewards["reward"])
    return read_number(next(iter(rewards.values()))) if len(rewards) == 1 else None


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
