"""Agreement of many judges, of a judge with itself and over its versions, and the calibration of probabilities."""

import json
from pathlib import Path

import pytest

from cogtui.analysis.agreement.measures import BehaviorFinding, JudgementSource, TraceFindings, measure_agreement
from cogtui.analysis.agreement.panel import measure_panel
from pipelines.behaviors.metrics.calibration import ScoredSpan, measure_calibration
from pipelines.behaviors.metrics.reliability import krippendorff_alpha
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import InvalidInput
from pipelines.files import read_json, write_json
from pipelines.records import JudgeRun, Span
from tests.behaviors.test_agreement import TEXTS, call, gold_file, judge_stage, sample_stage
from tests.behaviors.test_metrics import CODED


def source(name: str, counts: dict[str, int | None], **more: bool) -> JudgementSource:
    """A judge that counted verifications; None where it did not judge."""
    traces = {}
    for uid, count in counts.items():
        spans = tuple(Span(start=place, end=place + 1, quote="x") for place in range(count or 0))
        status = "unjudged" if count is None else "ok"
        findings = {name: BehaviorFinding("ok", 0, ()) for name in BEHAVIORS}
        findings["verification"] = BehaviorFinding(status, count, spans)  # type: ignore[arg-type]
        traces[uid] = TraceFindings(uid, uid, findings)
    return JudgementSource(name, traces, **more)  # type: ignore[arg-type]


def test_alpha_of_four_coders_is_krippendorffs_own_example() -> None:
    coders = [
        source(f"coder {place}", {str(unit): None if row[place] is None else int(row[place] or 0)
                                  for unit, row in enumerate(CODED)})
        for place in range(4)
    ]  # fmt: skip
    found = measure_panel(coders)
    estimate = found.counts["verification"]
    assert estimate.alpha == pytest.approx(0.849, abs=5e-4)  # Krippendorff 2011, interval level
    assert estimate.traces == 11  # one unit was coded by one coder alone
    assert estimate.interval is not None
    assert estimate.interval[0] < 0.849 < estimate.interval[1]
    assert len(found.pairs) == 6 * len(BEHAVIORS)
    assert found.counts["subgoal"].alpha is None  # all zeros: nothing to agree about


def test_a_pair_is_as_two_judges_alone() -> None:
    first, second = source("a", {"1": 2, "2": 0, "3": 1}), source("b", {"1": 1, "2": 0, "3": 0, "4": 5})
    (pair,) = [one for one in measure_panel([first, second]).pairs if one.behavior == "verification"]
    alone = measure_agreement(first, second)
    assert pair.traces == 3
    assert pair.kappa == alone.presence["verification"].kappa
    assert pair.alpha == alone.counts["verification"].alpha == krippendorff_alpha([(2, 1), (0, 0), (1, 0)], "interval")
    assert pair.f1 == alone.scores["any_overlap"].tallies["verification"].f1


def test_judges_of_one_name_cannot_be_told_apart() -> None:
    with pytest.raises(InvalidInput, match="two judges are called a"):
        measure_panel([source("a", {"1": 1}), source("a", {"1": 1})])
    with pytest.raises(InvalidInput, match="two judges or more"):
        measure_panel([source("a", {"1": 1})])


def test_the_expected_calibration_error_by_hand() -> None:
    # Two bins: (0.6, 0.7 → 1 of 2 right) and (0.9, 0.9, 0.9, 0.9 → 3 of 4 right).
    pairs = [(0.61, True), (0.69, False), (0.9, True), (0.9, True), (0.9, True), (0.9, False)]
    found = measure_calibration([ScoredSpan(score, right) for score, right in pairs])
    assert found is not None
    assert [(one.n, round(one.confidence, 2), one.accuracy) for one in found.bins] == [(2, 0.65, 0.5), (4, 0.9, 0.75)]
    assert found.ece == pytest.approx((2 * 0.15 + 4 * 0.15) / 6)
    assert found.brier == pytest.approx((0.39**2 + 0.69**2 + 3 * 0.01 + 0.81) / 6)
    assert measure_calibration([]) is None
    assert measure_calibration([ScoredSpan(1.0, right=True)]).ece == 0.0  # type: ignore[union-attr]


def test_only_probabilities_are_calibrated() -> None:
    gold = source("gold", {"1": 2, "2": 1})
    judge = source("judge", {"1": 3, "2": 0}, probabilities=True)
    found = measure_agreement(gold, judge).calibration["verification"]
    assert found is not None
    assert found.n == 3
    assert found.ece == pytest.approx(1 / 3)
    assert measure_agreement(gold, source("quotes", {"1": 3})).calibration == {}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Three rollouts, judged by an LLM in two versions of its prompts, the second of which was asked three times."""
    place = tmp_path / "ws"
    sample_stage(place)
    less = {"r0": {"verification": ("ok", "not 24")}, "r1": {}, "r2": {}}
    more = less | {"r1": {"verification": ("ok", "too high")}}
    found = dict(zip((f"judge-00000000000{sign}" for sign in "abcd"), (less, more, less, more), strict=True))
    for number, (key, verdicts) in enumerate(found.items()):
        judge_stage(place, key, "openai:m", verdicts)
        folder = place / "stages" / key
        run = JudgeRun(
            id=f"openai-{key[-4:]}", judge="openai:m", prompt_sha256="aaaa1111" if number == 0 else "bbbb2222",
            params={"repeat": number - 1} if number > 1 else {},
        )  # fmt: skip
        write_json(folder / "artifacts" / "judge_run.json", run.model_dump(mode="json"))
        info = read_json(folder / "stage.json")
        assert isinstance(info, dict)
        write_json(folder / "stage.json", info | {"created": 1e9 + (10 - number if number else 0)})
    return place


def test_a_model_is_compared_with_itself(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "agreement", "--self", "openai-000b", "-w", str(workspace), "--json")
    assert code == 0
    data = json.loads(out)["data"]
    assert [one["name"] for one in data["judges"]] == ["repeat 0", "repeat 1", "repeat 2"]
    units = [(1, 1, 1), (1, 0, 1), (0, 0, 0)]
    assert data["counts"]["verification"]["alpha"] == pytest.approx(krippendorff_alpha(units, "interval"))
    code, _, err = call(capsys, "agreement", "--self", "openai-000a", "-w", str(workspace))
    assert code == 4
    assert "was asked once" in err
    assert "--repeat" in err


def test_versions_are_listed_in_the_order_of_their_use(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = gold_file(tmp_path / "gold.jsonl", TEXTS)
    code, out, _ = call(
        capsys, "agreement", "--gold", str(gold), "--versions", "openai:m", "-w", str(workspace), "--json"
    )
    assert code == 0
    rows = json.loads(out)["data"]
    assert [row["run"] for row in rows] == ["openai-000a", "openai-000d", "openai-000c", "openai-000b"]
    assert [row["prompt_sha256"] for row in rows] == ["aaaa1111", *["bbbb2222"] * 3]
    kappas = [row["presence_kappa"]["verification"] for row in rows]
    assert kappas == pytest.approx([0.4, 1.0, 0.4, 1.0])
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--versions", "openai:m", "-w", str(workspace))
    assert "bbbb2222" in out
    code, _, err = call(capsys, "agreement", "--gold", str(gold), "--versions", "openai:x", "-w", str(workspace))
    assert code == 4
    assert "openai:m" in err


def test_many_judges_are_compared_at_once(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = gold_file(tmp_path / "gold.jsonl", TEXTS)
    place = ("-w", str(workspace), "--json")
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--judge", "rules", "--judge", "all", *place)
    assert code == 0
    data = json.loads(out)["data"]
    names = [one["name"] for one in data["judges"]]
    assert names[:2] == ["gold.jsonl", "rules"]
    assert len(names) == len(set(names)) == 4  # both versions of the model, and none of its repetitions
    assert data["counts"]["verification"]["traces"] == 3
    code, out, _ = call(
        capsys, "agreement", "--gold", str(gold), "--judge", "rules", "--judge", "openai-000a", *place[:2]
    )
    assert "Krippendorff's alpha" in out
    assert "gold.jsonl – rules" in out
    (tmp_path / "b").mkdir()
    other = gold_file(tmp_path / "b" / "gold.jsonl", TEXTS)
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--judge", str(other), "--judge", "rules", *place)
    assert [one["name"] for one in json.loads(out)["data"]["judges"]][:2] == [str(gold), str(other)]


def test_the_prose_judge_shows_how_calibrated_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = gold_file(
        tmp_path / "gold.jsonl",
        {
            "a": "So x = 4. ⟦V Let me check that: 4 squared is 16, which is right.⟧ Wait, ⟦B no. Let me try again.⟧",
            "b": "We have y = 3. ⟦V Let me verify: 3 + 3 = 6, yes.⟧ Now we are done.",
        },
    )  # fmt: skip
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--judge", "prose", "--json")
    assert code == 0
    found = json.loads(out)["data"]["calibration"]
    assert any(one is not None and 0 <= one["ece"] <= 1 and one["bins"] for one in found.values())
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--judge", "prose")
    assert "ECE" in out
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--judge", "rules")
    assert "ECE" not in out


def test_a_repetition_is_another_judge_run_that_sends_the_same(tmp_path: Path) -> None:
    from pipelines.behaviors.judge import JudgeTask
    from pipelines.behaviors.judges.llm.dialogue import TraceDialogue
    from pipelines.behaviors.judges.llm.judge import LLMJudge
    from pipelines.behaviors.judges.stage import JudgeConfig
    from pipelines.stages import content_key

    first, again = (JudgeConfig(judge="openai:gpt-4o-mini", repeat=repeat) for repeat in (0, 1))
    assert "repeat" not in first.key_fields()  # stages that were run before there were repetitions keep their keys
    assert content_key("judge", first, ("a",)) != content_key("judge", again, ("a",))
    assert LLMJudge(first).run.id != LLMJudge(again).run.id
    assert LLMJudge(first).run.prompt_sha256 == LLMJudge(again).run.prompt_sha256
    task = JudgeTask("r", "countdown", {"id": "p", "numbers": [3, 4], "target": 7}, "3 + 4 = 7, done.")
    requests = [
        [one.id("m") for one in TraceDialogue(task, LLMJudge(config)._prompt_config, None).pending_requests()]
        for config in (first, again)
    ]
    assert requests[0] == requests[1]
    # A judge that asks no model reads none of these fields.
    assert content_key("judge", JudgeConfig(), ("a",)) == content_key("judge", JudgeConfig(repeat=1), ("a",))
