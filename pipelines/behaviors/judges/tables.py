"""Table of what judge stages report, for the end of a run."""

from collections.abc import Sequence

from pipelines.behaviors.sets.registered import behavior_names
from pipelines.stages.kinds import Result, StageTable
from pipelines.stages.table_text import count_text, figure_text


def judge_table(results: Sequence[Result]) -> StageTable:
    """Return the mean count per judged rollout and behaviour, and how many rollouts were judged."""
    names = behavior_names(results)
    return StageTable((*names, "judged"), [_judged(result, names) for result in results])


def _judged(result: Result, names: Sequence[str]) -> tuple[str, ...]:
    """One row; the number of judged rollouts stands beside each mean where it differs by behaviour."""
    total = count_text(result.get("rollouts"))
    entries = [(result.get("behaviors") or {}).get(name) or {} for name in names]
    judged = [entry.get("n") for entry in entries]
    alike = len(set(judged)) == 1
    means = [
        figure_text(entry.get("mean")) + ("" if alike else f" (n {count_text(n)})")
        for entry, n in zip(entries, judged, strict=True)
    ]
    return (*means, f"{count_text(judged[0]) if alike else 'see n'} of {total}")
