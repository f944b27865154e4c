"""LLM judges: a model judges traces, live or through the Batch API of its service."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from pipelines.behaviors.align import ALIGNER
from pipelines.behaviors.judge import JudgedTask, JudgeTask, judge_run
from pipelines.behaviors.judges.llm.config import ANSWER_TOKENS, LLMJudgeConfig, model_of
from pipelines.behaviors.judges.llm.dialogue import JudgePromptConfig, TraceDialogue
from pipelines.behaviors.judges.llm.prompts import load_prompts
from pipelines.behaviors.segment import SEGMENTER
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import SETS
from pipelines.errors import InvalidInput
from pipelines.files import write_json
from pipelines.llm.clients.connect import connect
from pipelines.llm.clients.protocol import ModelSpec
from pipelines.llm.prices import Price, estimate_usage, find_price, max_usage
from pipelines.llm.run_dialogues import run_dialogues
from pipelines.records import JudgeRun

_LIKELY_ANSWER: Final = 300
"""Tokens of a typical answer, for estimates."""


@dataclass(frozen=True, slots=True)
class JudgeCostEstimate:
    """Estimated requests, tokens and cost of judging some traces."""

    traces: int
    requests: int
    """Without corrective questions, whose number is not known beforehand."""
    empty: int
    """Traces without text, which need no request."""
    input_tokens: int
    output_tokens: int
    """Likely."""
    cost_usd: float | None
    """Expected cost with nothing cached; None if the price is unknown."""
    most_usd: float | None
    """Upper bound: every answer at its token limit and one corrective question for each."""

    def times(self, factor: int) -> "JudgeCostEstimate":
        """Return the estimate for `factor` times as many traces."""

        def scaled(cost: float | None) -> float | None:
            return None if cost is None else cost * factor

        return JudgeCostEstimate(
            self.traces * factor,
            self.requests * factor,
            self.empty * factor,
            self.input_tokens * factor,
            self.output_tokens * factor,
            scaled(self.cost_usd),
            scaled(self.most_usd),
        )


class LLMJudge:
    """A model as a judge. Making one spends nothing and imports no SDK.

    Raises:
        InvalidInput: the config names no model, or a prompt or price file cannot be used.
    """

    def __init__(self, config: LLMJudgeConfig) -> None:
        spec = model_of(config)
        if spec is None:
            raise InvalidInput("this config names no LLM judge")
        self._spec: ModelSpec = spec
        self._config = config
        own = {name: file.unchanged() for name, file in config.prompts.items()}
        self._prompt_config = JudgePromptConfig(
            prompts=load_prompts(config.mode, own, SETS.get(config.behaviors)),
            max_tokens=config.max_tokens or ANSWER_TOKENS[config.mode],
            temperature=config.temperature,
            reasks=config.reasks if config.mode == "spans" else 0,
            window=config.window,
        )
        table = None if config.prices is None else config.prices.path
        self.price: Price | None = find_price(spec.provider, spec.model, table)

    @property
    def run(self) -> JudgeRun:
        """The model, the prompts and every parameter that changes requests; not where or how the model is served."""
        prompt_config = self._prompt_config
        spans = prompt_config.prompts.mode == "spans"
        params: dict[str, Any] = {"mode": prompt_config.prompts.mode, "max_tokens": prompt_config.max_tokens}
        if self._config.behaviors != FOUR_HABITS.name:
            params["behaviors"] = self._config.behaviors
        if self._config.repeat:
            params["repeat"] = self._config.repeat
        if prompt_config.temperature is not None:
            params["temperature"] = prompt_config.temperature
        if spans:
            params |= {"reasks": prompt_config.reasks, "window": prompt_config.window}
        return judge_run(
            str(self._spec),
            model=self._spec.model,
            prompt_sha256=prompt_config.prompts.sha256,
            params=params,
            segmenter=SEGMENTER if spans else None,
            aligner=ALIGNER if spans else None,
        )

    def judge(self, tasks: Iterable[JudgeTask], work: Path) -> Iterator[JudgedTask]:
        """Judge the tasks; continue from the replies in `work`, which are not paid for again.

        Raises:
            MissingRequirement: the key or the SDK is missing, or the key is refused.
            SpendingCapReached, ServiceUnavailable, ServiceRefused, TooManyFailures: run again, it continues.
            Interrupted: told to stop.
        """
        write_json(work / "prompts.json", dict(self._prompt_config.prompts.texts))
        dialogues = (TraceDialogue(task, self._prompt_config, self.price) for task in tasks)
        with closing(
            run_dialogues(dialogues, self._config, partial(connect, self._spec), self.price, work)
        ) as finished:
            for dialogue in finished:
                yield dialogue.judged()

    def estimate(self, tasks: Iterable[JudgeTask]) -> JudgeCostEstimate:
        """Estimate requests, tokens and cost of judging the tasks. Sends nothing and needs no key."""
        traces = requests = empty = input_tokens = output_tokens = 0
        cost = most = 0.0
        batch = self._config.batch
        for task in tasks:
            asks = TraceDialogue(task, self._prompt_config, self.price).pending_requests()
            traces += 1
            requests += len(asks)
            empty += not asks
            for ask in asks:
                usage = estimate_usage(ask, _LIKELY_ANSWER)
                input_tokens += usage.input_tokens
                output_tokens += usage.output_tokens
                if self.price is not None:
                    cost += self.price.cost(usage, batch=batch)
                    # a corrective question repeats the whole request and the first answer
                    worst = max_usage(ask)
                    most += self.price.cost(worst, batch=batch) * (1 + self._prompt_config.reasks)
                    most += self.price.input * self._prompt_config.reasks * worst.output_tokens / 1e6
        known = self.price is not None
        return JudgeCostEstimate(
            traces, requests, empty, input_tokens, output_tokens, cost if known else None, most if known else None
        )
