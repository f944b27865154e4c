"""AReaL's rollout dumps: `VERSION/TASK.jsonl` with `head_version`, `tail_version`, `prompt`, `completion`, `reward`."""

from typing import ClassVar, Final

from cogtui.store.importing.column_importer import ColumnImporter


class ArealImporter(ColumnImporter):
    """Imports trajectories that AReaL dumped. The step is the version of the policy, the file is named for the task."""

    name = "areal"
    label = "trajectories of AReaL"
    default_split = "train"
    layout: ClassVar = {
        "completion": ("completion",),
        "prompt": ("prompt",),
        "reward": ("original_reward", "reward"),
        "step": ("head_version", "version", "tail_version"),
        "problem_id": ("task_id", "qid", "query_id"),
        "sample": ("sample_idx",),
        "ground_truth": ("answer", "ground_truth"),
    }
    required = frozenset(("prompt", "completion"))
    any_of = frozenset(("head_version", "tail_version"))


IMPORTER: Final = ArealImporter()
