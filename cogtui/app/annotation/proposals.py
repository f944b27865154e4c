"""Spans that an annotator can start from: those of the judges that judged the trace, and of the rules judge."""

from collections.abc import Sequence
from dataclasses import dataclass

from cogtui.app.rollout.trace_data import RulesJudgement
from cogtui.app.rollout.trace_facts import judge_name
from cogtui.store import RolloutDetail
from cogtui.store.user_data.annotations import human_judge_run
from pipelines.records import LabelledSpan


@dataclass(frozen=True, slots=True)
class ProposalSource:
    """The spans of one judge on a trace."""

    name: str
    basis: str
    """Id of the judge run, or `rules`."""
    spans: Sequence[LabelledSpan]


def proposal_sources(detail: RolloutDetail, now: RulesJudgement | None, annotator: str) -> list[ProposalSource]:
    """List what an annotator can start from; their own annotation is left out."""
    mine = human_judge_run(annotator).id
    found = [
        ProposalSource(
            judge_name(run),
            run.id,
            [
                LabelledSpan(behavior=one.behavior, **span.model_dump())
                for one in detail.judgements
                if one.judge_run == run.id and not one.stale
                for span in one.spans
            ],
        )
        for run in detail.judge_runs
        if run.id != mine
    ]
    if now is not None:
        found.append(ProposalSource("rules, live", "rules", now.spans))
    return found
