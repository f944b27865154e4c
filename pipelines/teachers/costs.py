"""Estimated cost of a set of traces written by a model, before any request is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.llm.prices import estimate_usage, find_price, max_usage
from pipelines.llm.requests import ModelRequest
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import CountdownTask
from pipelines.teachers.conditions import CONDITIONS
from pipelines.teachers.configs import PrimingDataConfig
from pipelines.teachers.model.prompts import load_prompts

_TYPICAL_TRACE_TOKENS: Final = 600
"""Tokens of a typical trace."""
_TYPICAL_PROBLEM: Final = Problem(id="usual", numbers=(25, 3, 7, 50), target=85)


@dataclass(frozen=True, slots=True)
class TraceCost:
    """Requests and cost of a set if every trace is kept."""

    requests: int
    likely_usd: float | None
    """US dollars; None if the model's price is unknown."""
    most_usd: float | None
    """US dollars with every trace at its token limit and as many requests as `draws` allows."""


def estimate_cost(config: PrimingDataConfig) -> TraceCost | None:
    """Estimate the cost of a set; None if no model writes it.

    Raises:
        InvalidInput: a prompt or price file cannot be used.
    """
    spec = config.model_spec()
    if spec is None or CONDITIONS[config.condition].origin != "written":
        return None
    prompts = load_prompts(config.condition, {name: file.unchanged() for name, file in config.prompts.items()})
    question = prompts.question(_TYPICAL_PROBLEM, CountdownTask(), config.n, "0")
    request = ModelRequest(prompts.system, "", question, None, config.max_tokens, temperature=config.temperature)
    price = find_price(spec.provider, spec.model, None if config.prices is None else config.prices.path)
    if price is None:
        return TraceCost(config.n, None, None)
    likely = (
        price.cost(estimate_usage(request, _TYPICAL_TRACE_TOKENS), batch=config.batch)
        * config.n
        * (1 + config.over_request)
    )
    return TraceCost(config.n, likely, price.cost(max_usage(request), batch=config.batch) * config.n * config.draws)


def billed_text(config: Mapping[str, Any]) -> str | None:
    """Return what a `priming_data` stage of this config will be billed, in a few words; None if no model is asked."""
    cost = estimate_cost(PrimingDataConfig.model_validate(config))
    return None if cost is None else cost_text(cost)


def cost_text(cost: TraceCost) -> str:
    """Return a cost in a few words."""
    if cost.likely_usd is None or cost.most_usd is None:
        return f"{cost.requests:,} requests, at a price that is not known here"
    return f"{cost.requests:,} requests, about ${cost.likely_usd:.2f}, at most ${cost.most_usd:.2f}"
