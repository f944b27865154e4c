"""From a judge's name to the judge."""

from typing import TYPE_CHECKING, Final

from pipelines.behaviors.judge import Judge
from pipelines.errors import InvalidInput
from pipelines.llm.clients.protocol import KEY_VARIABLES

if TYPE_CHECKING:
    from pipelines.behaviors.judges.llm.config import LLMFields

JUDGE_NAMES: Final = ("rules",)
MODEL_JUDGES: Final = tuple(f"{provider}:MODEL" for provider in KEY_VARIABLES)


def check_judge_name(name: str) -> str:
    """The name, if there is such a judge: `rules`, or a model as `PROVIDER:MODEL`.

    Raises:
        InvalidInput: there is none.
    """
    provider, _, model = name.partition(":")
    if name not in JUDGE_NAMES and not (provider in KEY_VARIABLES and model):
        raise InvalidInput(f"there is no judge {name!r}", remedy=f"Judges: {', '.join((*JUDGE_NAMES, *MODEL_JUDGES))}.")
    return name


def make_judge(name: str, config: "LLMFields | None" = None) -> Judge:
    """The judge of that name.

    Args:
        name: as `check_judge_name` takes it.
        config: how a model is asked; only a model needs it.

    Raises:
        InvalidInput: there is none, or its config cannot be used.
    """
    check_judge_name(name)
    if name in JUDGE_NAMES:
        from pipelines.behaviors.judges.rules.judge import RulesJudge

        return RulesJudge()
    from pipelines.behaviors.judges.llm.judge import LLMJudge

    if config is None:
        raise InvalidInput(f"{name} needs a config that says how it is asked")
    return LLMJudge(config)
