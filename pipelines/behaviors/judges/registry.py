"""The registry of judges: those built in, models behind a service, and judges of outside packages.

A judge that is no model is a `JudgeKind`, registered under its name here or by an entry point of the group
`cogtui.judges`. A model is named `PROVIDER:MODEL` and needs no registration.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from pipelines.behaviors.judge import Judge, JudgeKind
from pipelines.behaviors.sets.registered import SETS
from pipelines.errors import CogtuiError, InvalidInput
from pipelines.llm.clients.protocol import KEY_VARIABLES
from pipelines.plugins import Registry, entry_points, missing_members
from pipelines.records import JudgeRun
from pipelines.tasks.registry import find_task, rules_context
from pipelines.text_safety import one_line

MODEL_JUDGES: Final = tuple(f"{provider}:MODEL" for provider in KEY_VARIABLES)


class JudgeRegistry(Registry[JudgeKind]):
    """The registry of the group `cogtui.judges`: an entry point names a `JudgeKind`."""

    def __init__(self) -> None:
        builtin = {
            "rules": "pipelines.behaviors.judges.rules.judge:RULES_JUDGE",
            "prose": "pipelines.behaviors.judges.prose.judge:PROSE_JUDGE",
        }
        super().__init__("cogtui.judges", "judge", builtin, _problem_of)

    def convert(self, name: str, loaded: object) -> JudgeKind:
        """Check that a judge can be named, and that its behaviour set is installed.

        Raises:
            InvalidInput: not so.
        """
        kind = cast("JudgeKind", loaded)
        if ":" in name:
            raise InvalidInput("a name with a colon is that of a model")
        if kind.behaviors not in SETS:
            raise InvalidInput(f"its behaviour set {kind.behaviors!r} is not installed or was skipped")
        return kind


def _problem_of(entry: object) -> str | None:
    if missing := missing_members(entry, ("title", "make", "behaviors", "needs_config")):
        return missing
    return None if callable(getattr(entry, "make", None)) else "its `make` cannot be called"


JUDGES: Final = JudgeRegistry()
"""The judges that are no models. A built-in judge is imported when it is first asked for."""


def check_judge_name(name: str) -> str:
    """Return the name if there is such a judge: a registered one, or a model as `PROVIDER:MODEL`.

    Raises:
        InvalidInput: there is none; names the nearest.
    """
    if not is_model_name(name) and name not in JUDGES.builtin_names():
        judge_kind(name)
    return name


def default_judge(task: str) -> str:
    """Return the judge where none is named: `rules` if the task gives a rules context, else `prose`."""
    return "rules" if hasattr(find_task(task), "rules_context") else "prose"


def judge_evidence(judge: str, task: str, problem: Mapping[str, Any]) -> str:
    """Return in a few words what a judge went by for a completion of a problem; empty for a judge of another package.

    Args:
        judge: name of the judge, not of its run.
        task: name of the task.
        problem: the problem as the task's JSON.
    """
    if judge == "rules":
        known = rules_context(task, problem) is not None
        return "wording, and arithmetic from the numbers to the target" if known else "wording alone: no numbers known"
    if judge == "prose":
        return "wording, by a small learned model"
    if judge == "human":
        return "a person's reading"
    return "a language model's reading" if is_model_name(judge) else ""


def is_model_name(name: str) -> bool:
    """Return whether the name is `PROVIDER:MODEL` with a provider that is known."""
    provider, _, model = name.partition(":")
    return provider in KEY_VARIABLES and bool(model)


def judge_kind(name: str) -> JudgeKind:
    """Return the registered judge of that name.

    Raises:
        InvalidInput: there is none; names the nearest.
    """
    try:
        return JUDGES.get(name)
    except InvalidInput as error:
        models = f"Models: {', '.join(MODEL_JUDGES)}."
        raise InvalidInput(error.summary, detail=error.detail, remedy=f"{error.remedy} {models}") from error


def make_judge(name: str, config: Any = None) -> Judge:
    """Make the judge of that name. Spends nothing and imports no SDK.

    Args:
        name: as `check_judge_name` takes it.
        config: the config of the judge stage; a model needs it, and so do judges that say so.

    Raises:
        InvalidInput: there is no such judge, it needs a config, its config cannot be used, or it is no judge.
    """
    if is_model_name(name):
        from pipelines.behaviors.judges.llm.judge import LLMJudge

        if config is None:
            raise InvalidInput(f"{name} needs a config that says how it is asked")
        return LLMJudge(config)
    kind = judge_kind(name)
    if kind.needs_config and config is None:
        raise InvalidInput(f"the judge {name} needs a config")
    try:
        judge = kind.make(config)
        fault = _fault_of(judge)
    except CogtuiError:
        raise
    except Exception as error:
        fault = f"making it raised {type(error).__name__}: {one_line(str(error))}"
    if fault:
        raise InvalidInput(
            f"the judge {name}{_origin(name)} cannot be used: {fault}",
            remedy="Fix the judge, or name another one.",
        )
    return judge


def _fault_of(judge: object) -> str:
    """Return what an object lacks to be a judge; empty if nothing."""
    if missing := missing_members(judge, ("run", "judge")):
        return f"the object that is made for it, a {type(judge).__name__}, is no judge: {missing}"
    if not isinstance(getattr(judge, "run", None), JudgeRun):
        return "its `run` is no JudgeRun; make it with pipelines.behaviors.judge.judge_run"
    return "" if callable(getattr(judge, "judge", None)) else "its `judge` cannot be called"


def _origin(name: str) -> str:
    """Return the package and entry point of a judge in words; empty for one that is built in."""
    for point in entry_points(JUDGES.group)[0]:
        if point.name == name:
            return f" of {point.dist.name if point.dist else 'an unknown package'} ({point.value})"
    return ""
