"""Five hundred traces, one request in ten going wrong, the judging process killed twice: nothing lost or paid twice."""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Judgement, countdown_fields
from pipelines.run import prepare
from pipelines.streams import read_stream, strip_envelope
from tests.behaviors.llm_lab import BAD_ANSWERS, HUGE, judging, sample_stage, settings_for, traces
from tests.loopback.faults import RandomFaults
from tests.loopback.killing import KilledStage
from tests.loopback.server import serve
from tests.loopback.state import State

pytestmark = pytest.mark.slow

TRACES: Final = 500
CONCURRENCY: Final = 8


def judging_stage(provider: str, url: str, state: State, place: Path, **config: Any) -> KilledStage:
    tasks = [*traces(TRACES - 1), JudgeTask("huge", **countdown_fields((3, 4, 5), 24), completion=HUGE)]
    source = sample_stage(place / "sample-0123456789ab", tasks)
    settings = {**settings_for(provider, state, url, place), "concurrency": CONCURRENCY, **config}
    return KilledStage(prepare("judge", settings, place / "judge", [source.path], base=place), state, provider)


def check_all_named(judging: KilledStage, result: dict[str, Any]) -> Counter[str]:
    """Every trace has four judgements, each ok or with the status that says why not; returns the statuses."""
    records = [Judgement.model_validate(strip_envelope(one)) for one in read_stream(judging.folder.path, "judgements")]
    identities = Counter((record.rollout_id, record.behavior) for record in records)
    assert len(identities) == TRACES * len(BEHAVIORS) == len(records), "all of them, none twice"
    statuses = Counter(record.status for record in records)
    assert set(statuses) <= {"ok", "parse_error", "truncated", "refused", "api_error"}
    assert all((record.count is None) == (record.status != "ok") for record in records)
    assert result["rollouts"] == TRACES
    assert result["statuses"] == dict(statuses)
    assert statuses["ok"] > 0.9 * len(records)
    assert min(statuses[name] for name in ("truncated", "refused", "api_error")) > 0
    assert any(record.usage.get("reasked") for record in records)
    return Counter({str(name): count for name, count in statuses.items()})


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_batches_killed_twice_pay_nothing_twice(provider: str, tmp_path: Path) -> None:
    pytest.importorskip(provider)
    state = State(brain=judging, faults=RandomFaults(0.1, BAD_ANSWERS), polls_before_done=3)
    with serve(state) as url:
        stage = judging_stage(provider, url, state, tmp_path, batch=True, poll_s=0.05)
        stage.kill_when(lambda: len(state.batches) == 1)  # perhaps before it could note the batch
        stage.kill_when(lambda: state.downloads >= 1)  # perhaps in the middle of the results
        result = stage.finish()
    check_all_named(stage, result)
    assert state.ledger.paid_twice == []
    assert result["spent"]["cost_usd"] == pytest.approx(state.ledger.cost)
    assert result["spent"]["input_tokens"] == state.ledger.input_tokens
    assert result["spent"]["output_tokens"] == state.ledger.output_tokens


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_live_killed_twice_pays_twice_only_what_was_in_flight(provider: str, tmp_path: Path) -> None:
    pytest.importorskip(provider)
    state = State(brain=judging, faults=RandomFaults(0.1, BAD_ANSWERS))
    with serve(state) as url:
        stage = judging_stage(provider, url, state, tmp_path)
        stage.kill_when(lambda: len(state.ledger.paid) > 300)
        stage.kill_when(lambda: len(state.ledger.paid) > 900)
        result = stage.finish()
    check_all_named(stage, result)
    again = sum(state.ledger.paid.values()) - len(state.ledger.paid)
    assert again <= 2 * CONCURRENCY
    assert max(state.ledger.paid.values()) <= 2
    assert result["spent"]["cost_usd"] == pytest.approx(sum(state.ledger.last_cost.values()))
