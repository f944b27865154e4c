"""The judge stage: four judgements a rollout, none twice, none lost."""

import json
from pathlib import Path

import pytest

from pipelines.behaviors.judges.stage import JudgeConfig
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.files import write_json
from pipelines.folder import StageFolder, StageInfo
from pipelines.records import Judgement, Rollout, countdown_fields
from pipelines.run import prepare, run_stage, validated_config
from pipelines.stages import Inputs, stage_kind
from pipelines.streams import StreamWriter, read_stream, strip_envelope


def upstream(path: Path, completions: list[str], *, kind: str = "sample") -> StageFolder:
    """A finished stage with these completions as rollouts."""
    path.mkdir()
    info = StageInfo(kind=kind, key=f"{kind}-0123456789ab", config={})
    write_json(path / "stage.json", info.model_dump(mode="json"))
    with StreamWriter(path, "rollouts", "test") as stream:
        stream.append(
            Rollout(
                id=f"r{index:03d}",
                step=0,
                split="test" if index % 2 else "train",
                problem_id=f"p{index}",
                sample=0,
                **countdown_fields((3, 4, 5), 24),
                prompt="",
                completion=completion,
                reward=0.0,
                correct=False,
                answer=None,
                finish_reason="stop",
                n_tokens=1,
            )
            for index, completion in enumerate(completions)
        )
    write_json(path / "result.json", {})
    return StageFolder(path)


def judgements(folder: StageFolder) -> list[Judgement]:
    return [Judgement.model_validate(strip_envelope(record)) for record in read_stream(folder.path, "judgements")]


def test_four_judgements_a_rollout_with_spans_that_quote_the_text(tmp_path: Path) -> None:
    texts = ["3 + 4 = 7 (not 24)\r\nLet's try again.", "", "🙂 3 + 4 = 7 (too low)"]
    source = upstream(tmp_path / "up", texts)
    folder = prepare("judge", {}, tmp_path / "judge", [source.path], base=tmp_path)
    result = run_stage(folder)
    found = judgements(folder)
    assert [(record.rollout_id, record.behavior) for record in found] == [
        (f"r{index:03d}", behavior) for index in range(3) for behavior in BEHAVIORS
    ]
    for record in found:
        text = texts[int(record.rollout_id[1:])]
        assert record.status == "ok"
        assert all(text[span.start : span.end] == span.quote for span in record.spans)
    assert result["behaviors"]["verification"] == {"n": 3, "count": 2, "mean": pytest.approx(2 / 3)}
    run = json.loads((folder.artifacts / "judge_run.json").read_text())
    assert run["id"] == result["judge_run"] == found[0].judge_run


def test_facts_of_the_arithmetic_are_kept_once_and_apart_from_behaviours(tmp_path: Path) -> None:
    text = "3 + 4 = 8, 8 * 9 = 72"
    source = upstream(tmp_path / "up", [text])
    folder = prepare("judge", {}, tmp_path / "judge", [source.path], base=tmp_path)
    result = run_stage(folder)
    first, *others = judgements(folder)
    kinds = {fact.kind: text[fact.start : fact.end] for fact in first.facts}
    assert kinds["wrong_equation"] == "3 + 4 = 8"
    assert kinds["illegal_number"] == "8 * 9"
    assert all(text[fact.start : fact.end] == fact.quote for fact in first.facts)
    assert not any(record.facts or record.attempts for record in others)
    assert [(text[one.start : one.end], one.legal, one.equations, one.wrong) for one in first.attempts] == [
        (text, False, 2, 1)
    ]
    assert result["attempts"] == {"n": 1}
    assert result["facts"] == {"wrong_equation": 1, "illegal_number": 1}
    assert sum(record.count or 0 for record in (first, *others)) == sum(len(r.spans) for r in (first, *others))


def test_an_interrupted_stage_goes_on_and_writes_nothing_twice(tmp_path: Path) -> None:
    source = upstream(tmp_path / "up", ["3 + 4 = 7 (not 24)"] * 5)
    folder = prepare("judge", {}, tmp_path / "judge", [source.path], base=tmp_path)
    whole = run_stage(folder)
    lines = (folder.path / "judgements-judge-001.jsonl").read_bytes().splitlines(keepends=True)
    # As if killed in the middle of the third rollout's judgements, with a torn line at the end.
    (folder.path / "judgements-judge-001.jsonl").write_bytes(b"".join(lines[:10]) + lines[10][:40])
    (folder.path / "result.json").unlink()
    assert run_stage(folder) == whole
    found = judgements(folder)
    assert len(found) == len({(record.rollout_id, record.behavior) for record in found}) == 20


def test_only_the_splits_asked_for_are_judged(tmp_path: Path) -> None:
    source = upstream(tmp_path / "up", ["x"] * 4)
    folder = prepare("judge", {"splits": ["test"]}, tmp_path / "judge", [source.path], base=tmp_path)
    result = run_stage(folder)
    assert result["rollouts"] == 2
    assert {record.rollout_id for record in judgements(folder)} == {"r001", "r003"}


def test_a_stage_without_rollouts_has_no_mean_rather_than_zero(tmp_path: Path) -> None:
    source = upstream(tmp_path / "up", [])
    folder = prepare("judge", {}, tmp_path / "judge", [source.path], base=tmp_path)
    assert run_stage(folder)["behaviors"]["subgoal"] == {"n": 0, "count": 0, "mean": None}
    assert len(Inputs.of(folder)) == 1


def test_an_unknown_judge_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no judge 'oracle'"):
        validated_config(stage_kind("judge"), {"judge": "oracle"}, tmp_path)
    assert JudgeConfig().judge == "rules"
