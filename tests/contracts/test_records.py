"""Records refuse what would make a count untrue."""

import pytest
from pydantic import ValidationError

from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Judgement, Span, rollout_id, text_sha256


def judgement(**changes: object) -> Judgement:
    fields: dict[str, object] = {
        "rollout_id": "r",
        "judge_run": "j",
        "behavior": "verification",
        "status": "ok",
        "count": 0,
        "text_sha256": text_sha256("text"),
    }
    return Judgement.model_validate(fields | changes)


def test_missing_is_not_zero() -> None:
    assert judgement().count == 0
    assert judgement(status="parse_error", count=None).count is None
    for status, count in (("parse_error", 0), ("unjudged", 3), ("ok", None)):
        with pytest.raises(ValidationError, match="status is ok"):
            judgement(status=status, count=count)


def test_a_span_has_a_place_exactly_when_it_is_aligned() -> None:
    assert Span(quote="q", alignment="unaligned").start is None
    for fields in ({"start": 1}, {"start": 3, "end": 3}, {"start": 1, "end": 2, "alignment": "unaligned"}, {}):
        with pytest.raises(ValidationError):
            Span.model_validate({"quote": "q", **fields})


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        judgement(behaviour="verification")


def test_rollout_ids_tell_places_apart() -> None:
    places = {("ppo-1", "train", step, problem, sample) for step in (0, 1) for problem in "ab" for sample in (0, 1)}
    places |= {("ppo-2", "train", 0, "a", 0), ("ppo-1", "test", 0, "a", 0)}
    assert len({rollout_id(*place) for place in places}) == len(places)
    assert rollout_id("ppo-1", "train", 1, "a", 0) == rollout_id("ppo-1", "train", 1, "a", 0)


def test_behaviours_keep_their_order() -> None:
    assert BEHAVIORS == ("verification", "backtracking", "subgoal", "backward_chaining")
