"""What a draft would start, computed by the functions behind `cogtui run`; and the start itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cogtui.app.launch.draft import LaunchDraft, changes_of
from cogtui.app.launch.fields import FormField, form_fields
from jobs.planning.experiments import Experiment
from jobs.planning.plan import make_plan
from jobs.planning.types import RecipePlan, StageInstance
from jobs.recipe.bundled import summarise_recipe
from jobs.recipe.load import load_recipe
from jobs.recipe.source import read_source
from jobs.state.types import StageState, Submission
from jobs.submit.actions import PlannedAction, actions_of
from jobs.submit.launch import preview
from jobs.submit.start import start_stages
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from pipelines.stages import stage_kind


class RecipeForm(NamedTuple):
    """A recipe as read."""

    text: str
    fields: list[FormField]
    takes: str
    """What its comments say of its duration."""


@dataclass(frozen=True, slots=True)
class LaunchPreview:
    """The plan of a draft, and the action for each stage by key."""

    plan: RecipePlan
    actions: Mapping[str, PlannedAction]

    @property
    def starting(self) -> list[StageInstance]:
        """The stages that would be submitted, each after its inputs."""
        return [stage for stage in self.plan.stages if self.actions[stage.key].starts]

    def counts(self) -> Counter[str]:
        """Count the stages by verb."""
        return Counter(self.actions[stage.key].verb for stage in self.plan.stages)

    def costs(self) -> list[str]:
        """Return what the stages to start would be billed, each different text once with its count."""
        found = Counter(
            cost for stage in self.starting if (cost := stage_kind(stage.kind).cost_of(stage.config)) is not None
        )
        return [text if count == 1 else f"{count} times {text}" for text, count in found.items()]


class Estimate(NamedTuple):
    """Time that the stages to start will take, by finished stages of the same kinds."""

    seconds: float
    """Of all jobs together, one after another."""
    gpu_seconds: float
    runs: int
    """Number of finished stages it rests on."""
    unknown: tuple[str, ...]
    """Kinds without a finished stage; their time is not included."""


def read_form(draft: LaunchDraft) -> RecipeForm:
    """Read the recipe without its changes.

    Raises:
        NotFound: no such file. InvalidInput: it is not valid TOML.
    """
    source = read_source(draft.recipe)
    return RecipeForm(source.text, form_fields(source.written), summarise_recipe(draft.recipe).takes)


def preview_draft(draft: LaunchDraft, workspace: Workspace) -> LaunchPreview:
    """Plan a draft; starts and writes nothing.

    Raises:
        InvalidInput: names every problem of the recipe and of the changes. NotFound: the recipe is gone.
    """
    plan = make_plan(load_recipe(draft.recipe, draft.overrides), workspace)
    return LaunchPreview(plan, actions_of(plan, plan.stages, workspace, retry=draft.retry, force=()))


def estimate(found: LaunchPreview, states: Mapping[str, StageState]) -> Estimate:
    """Estimate the time of the stages to start by the mean of finished stages of the same kind."""
    durations: dict[str, list[float]] = {}
    for state in states.values():
        if state.state == "done" and (seconds := _seconds(state)) is not None:
            durations.setdefault(state.kind, []).append(seconds)
    total = on_gpus = 0.0
    used: set[str] = set()
    unknown: dict[str, None] = {}
    for stage in found.starting:
        if stage.kind not in durations:
            unknown[stage.kind] = None
            continue
        used.add(stage.kind)
        mean = sum(durations[stage.kind]) / len(durations[stage.kind])
        total += mean
        on_gpus += mean * stage.resources.gpus * stage.resources.nodes
    return Estimate(total, on_gpus, sum(len(durations[kind]) for kind in used), tuple(unknown))


def _seconds(state: StageState) -> float | None:
    """Return how long all runs of a stage took together; None if an end is not known."""
    runs = [run for attempt in state.attempts for run in attempt.runs]
    if not runs or any(run.ended is None for run in runs):
        return None
    return sum(run.ended - run.started for run in runs if run.ended is not None)


def scripts_of(found: LaunchPreview, draft: LaunchDraft, workspace: Workspace) -> list[tuple[StageInstance, str]]:
    """Return the exact sbatch script, or the local command line, of each stage to start."""
    stages = found.starting
    return list(zip(stages, preview(stages, draft.cluster, workspace), strict=True))


def launch(draft: LaunchDraft, workspace: Workspace, text: str) -> tuple[str, list[Submission]]:
    """Start a draft as `cogtui run --detach` does; return the experiment's name and the action for each stage.

    Launching the same draft again starts nothing twice, because stages are identified by their content.

    Args:
        draft: to start.
        workspace: created if it does not exist.
        text: of the recipe as the person saw it.

    Raises:
        InvalidInput: the recipe or a change is wrong, or the recipe is no longer the one shown.
        MissingRequirement: something that a stage needs is missing, the workspace cannot be written, or the cluster
            refuses; with the scheduler's message.
    """
    recipe = load_recipe(draft.recipe, draft.overrides)
    if recipe.text != text:
        raise InvalidInput(
            f"{draft.recipe} changed while the form was open, so nothing was started",
            remedy="Look at the plan again, then launch.",
        )
    plan = make_plan(recipe, workspace)
    return plan.name, start_stages(workspace, plan.stages, cluster=draft.cluster, retry=draft.retry, plan=plan)


def recipe_of(experiment: Experiment, workspace: Workspace) -> tuple[LaunchDraft, str]:
    """Return a draft that repeats an experiment, and a remark for the person.

    The recipe's file is used if it still has the text that was run. Otherwise the text of the snapshot is written
    beside the snapshots, so that the command line can name it.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(experiment.recipe_path)
    changes = changes_of(experiment.overrides)
    if path.is_file() and path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n") == experiment.recipe:
        return LaunchDraft(path, changes), ""
    copy = workspace.experiments / experiment.name / "cloned.toml"
    copy.write_text(experiment.recipe, "utf-8")
    return LaunchDraft(copy, changes), f"{path} is no longer the recipe that was run; its snapshot is in {copy}"


def stage_names(found: Sequence[StageInstance]) -> list[str]:
    """Return the names of stages in the order of the plan, each once."""
    return list(dict.fromkeys(stage.name for stage in found))
