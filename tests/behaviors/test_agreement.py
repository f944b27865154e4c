"""`cogtui agreement`: gold against a judge, judge against judge, with what failed left out and named."""

import json
from pathlib import Path
from typing import Any

import pytest

from cogtui.analysis.agreement.measures import BehaviorFinding, JudgementSource, TraceFindings, measure_agreement
from cogtui.analysis.agreement.ordering import compare_orderings
from cogtui.cli.main import run
from pipelines.behaviors.gold import GoldTrace, write_gold
from pipelines.behaviors.markup import parse_marked
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.files import write_json
from pipelines.folder import StageInfo
from pipelines.records import Behavior, Judgement, JudgeRun, Rollout, Span, countdown_fields, text_sha256
from pipelines.streams import StreamWriter

TEXTS = {
    "r0": "8 + 5 = 13 ⟦V (not 24)⟧\n⟦B 8 * 3 = 24⟧ ⟦V ✓⟧",
    "r1": "20 + 5 = 25 ⟦V (too high)⟧",
    "r2": "8 * 3 = 24",
}


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        run(list(arguments))
    out = capsys.readouterr()
    return int(stop.value.code or 0), out.out, out.err


def gold_file(path: Path, marked: dict[str, str]) -> Path:
    traces = []
    for name, body in marked.items():
        text, spans = parse_marked(body)
        traces.append(GoldTrace(id=name, **countdown_fields((3, 5, 8, 20), 24), text=text, spans=spans))
    write_gold(path, traces)
    return path


def judge_stage(workspace: Path, key: str, judge: str, verdicts: dict[str, dict[Behavior, tuple[str, str]]]) -> None:
    """A finished judge stage over the rollouts of `sample-000000000001`: behaviour → (status, quote)."""
    folder = workspace / "stages" / key
    (folder / "artifacts").mkdir(parents=True)
    info = StageInfo(kind="judge", key=key, config={}, inputs=("sample-000000000001",))
    write_json(folder / "stage.json", info.model_dump(mode="json"))
    run_id = f"{judge.partition(':')[0]}-{key[-4:]}"
    write_json(folder / "artifacts" / "judge_run.json", JudgeRun(id=run_id, judge=judge).model_dump(mode="json"))
    with StreamWriter(folder, "judgements", "judge") as stream:
        for rollout, findings in verdicts.items():
            text, _ = parse_marked(TEXTS[rollout])
            for behavior in BEHAVIORS:
                status, quote = findings.get(behavior, ("ok", ""))
                start = text.find(quote) if quote else -1
                spans = (Span(start=start, end=start + len(quote), quote=quote),) if start >= 0 else ()
                stream.append(
                    [
                        Judgement(
                            rollout_id=rollout,
                            judge_run=run_id,
                            behavior=behavior,
                            status=status,
                            count=len(spans) if status == "ok" else None,
                            spans=spans,
                            text_sha256=text_sha256(text),
                        )
                    ]
                )


def sample_stage(root: Path) -> None:
    """Three rollouts with the texts."""
    folder = root / "stages" / "sample-000000000001"
    folder.mkdir(parents=True)
    info = StageInfo(kind="sample", key=folder.name, config={}, labels={"condition": "dots"})
    write_json(folder / "stage.json", info.model_dump(mode="json"))
    with StreamWriter(folder, "rollouts", "test") as stream:
        stream.append(
            Rollout(
                id=name,
                step=index,
                split="test",
                problem_id=f"p{index}",
                sample=0,
                **countdown_fields((3, 5, 8, 20), 24),
                prompt="",
                completion=parse_marked(body)[0],
                reward=None,
                correct=None,
                answer=None,
                finish_reason="stop",
                n_tokens=1,
            )
            for index, (name, body) in enumerate(TEXTS.items())
        )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Three rollouts, judged by two models; one of them failed on a behaviour."""
    root = tmp_path / "workspace"
    sample_stage(root)
    first: dict[str, dict[Behavior, tuple[str, str]]] = {
        "r0": {"verification": ("ok", "(not 24)"), "backtracking": ("ok", "8 * 3 = 24")},
        "r1": {"verification": ("ok", "(too high)")},
        "r2": {},
    }
    second: dict[str, dict[Behavior, tuple[str, str]]] = {
        "r0": {"verification": ("parse_error", ""), "backtracking": ("ok", "8 * 3 = 24")},
        "r1": {"verification": ("ok", "(too high)")},
        "r2": {"verification": ("ok", "= 24")},
    }
    judge_stage(root, "judge-00000000aaaa", "openai:one", first)
    judge_stage(root, "judge-00000000bbbb", "anthropic:two", second)
    return root


def test_the_rules_against_gold_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = gold_file(tmp_path / "gold.jsonl", TEXTS)
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--judge", "rules", "--json")
    data = json.loads(out)["data"]
    assert code == 0
    assert data["judge_run"].startswith("rules-")
    assert data["spans"]["any_overlap"]["macro_f1"] == 1.0
    assert data["spans"]["iou50"]["behaviors"]["verification"]["hits"] == 3
    # What neither side shows has no F1, and is in no mean.
    assert data["spans"]["any_overlap"]["behaviors"]["subgoal"]["f1"] is None
    assert data["counts"]["verification"] | {"alpha": None} == {
        "n": 3, "mean_reference": 1.0, "mean_judge": 1.0, "bias": 0.0, "exact": 1.0, "mae": 0.0, "alpha": None
    }  # fmt: skip
    assert data["presence"]["backtracking"]["kappa"] == 1.0
    assert data["disagreements"] == []
    assert data["alignment"]["exact"] == data["alignment"]["spans"] == 4


def test_the_text_shows_each_behaviour_and_the_worst_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = gold_file(tmp_path / "gold.jsonl", {**TEXTS, "r3": "20 + 5 = 25 (too high) ⟦S and a goal nobody sees⟧"})
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--judge", "rules")
    assert code == 0
    for behavior in BEHAVIORS:
        assert behavior in out
    assert "macro" in out
    assert out.splitlines()[0] == "rules against gold.jsonl: 4 of 4 traces judged, 1 problems"
    assert [line.split() for line in out.splitlines() if line.startswith("r3")] == [["r3", "1", "1", "0"]]


def test_two_judges_of_a_workspace(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(
        capsys, "agreement", "--judge", "openai:one", "--judge", "anthropic:two", "-w", str(workspace), "--json"
    )
    envelope = json.loads(out)
    data = envelope["data"]
    assert code == 0
    assert data["traces"] == 3
    assert data["compared"] == {"verification": 2, "backtracking": 3, "subgoal": 3, "backward_chaining": 3}
    assert data["alignment"]["statuses"] == {"ok": 11, "parse_error": 1}
    assert data["spans"]["any_overlap"]["behaviors"]["verification"] | {"f1_interval": None} == {
        "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "f1_interval": None,
        "hits": 1, "extra": 1, "missed": 0, "ignored": 0,
    }  # fmt: skip
    assert data["disagreements"] == [{"id": "r2", "only_reference": 0, "only_judge": 1, "both": 0}]
    assert envelope["warnings"] == ["1 of 12 judgements failed on one side or the other; they are in no figure"]
    groups = data["orderings"]["backtracking"]["groups"]
    assert [group["group"] for group in groups] == ["dots test step 0", "dots test step 1", "dots test step 2"]
    assert data["orderings"]["backtracking"]["tau"] == 1.0


def test_the_rules_against_a_judge_of_a_workspace(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "agreement", "--judge", "openai", "--judge", "rules", "-w", str(workspace), "--json")
    data = json.loads(out)["data"]
    assert code == 0
    assert (data["reference"], data["judge"]) == ("openai:one", "rules")
    assert data["spans"]["any_overlap"]["behaviors"]["verification"]["hits"] == 2


def test_gold_finds_its_texts_in_a_workspace(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = gold_file(tmp_path / "gold.jsonl", {f"other-{name}": body for name, body in TEXTS.items()})
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--judge", "aaaa", "-w", str(workspace), "--json")
    assert code == 4
    code, out, _ = call(
        capsys, "agreement", "--gold", str(gold), "--judge", "openai:one", "-w", str(workspace), "--json"
    )
    data = json.loads(out)["data"]
    assert code == 0
    assert data["spans"]["any_overlap"]["behaviors"]["backtracking"]["hits"] == 1
    assert data["spans"]["any_overlap"]["behaviors"]["verification"] | {"f1_interval": None, "f1": None} == {
        "precision": 1.0, "recall": pytest.approx(2 / 3), "f1": None, "f1_interval": None,
        "hits": 2, "extra": 0, "missed": 1, "ignored": 0,
    }  # fmt: skip


def test_a_person_s_gold_file_is_a_judge_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = gold_file(tmp_path / "gold.jsonl", TEXTS)
    other = gold_file(tmp_path / "anna.jsonl", {name: parse_marked(body)[0] for name, body in TEXTS.items()})
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--judge", str(other), "--json")
    assert code == 0
    assert json.loads(out)["data"]["spans"]["any_overlap"]["macro_f1"] == 0.0


def test_a_teachers_traces_are_gold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pipelines.traces import PrimingTrace, encode_trace

    text, spans = parse_marked(TEXTS["r0"])
    trace = PrimingTrace(
        id="t0", problem_id="p0", condition="all_strategies", teacher="symbolic", **countdown_fields((3, 5, 8, 20), 24),
        prompt="", completion=text, spans=spans, reward=1.0, correct=True, answer=None,
    )  # fmt: skip
    path = tmp_path / "traces.jsonl"
    path.write_bytes(encode_trace(trace))
    code, out, _ = call(capsys, "agreement", "--gold", str(path), "--judge", "rules", "--json")
    assert code == 0
    assert json.loads(out)["data"]["spans"]["any_overlap"]["macro_f1"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--judge", "rules"], 2, "two judges are compared without gold, 1 given"),
        (["--judge", "rules", "--judge", "rules"], 2, "rules cannot be compared with rules"),
        (["--gold", "none.jsonl", "--judge", "rules"], 4, "cannot read the gold file none.jsonl"),
        (["--gold", "none.jsonl"], 2, "--gold is compared with one judge, 0 given"),
        (["--judge", "oracle", "--judge", "rules"], 4, "no judge run 'oracle'"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    got, _, err = call(capsys, "agreement", *arguments, "-w", str(tmp_path))
    assert got == code
    assert message in err


def test_wrong_offsets_in_gold_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = gold_file(tmp_path / "gold.jsonl", TEXTS)
    rows = [json.loads(line) for line in gold.read_text().splitlines()]
    rows[1]["spans"][0]["start"] += 1
    gold.write_text("\n".join(map(json.dumps, rows)))
    code, out, _ = call(capsys, "agreement", "--gold", str(gold), "--judge", "rules", "--json")
    error = json.loads(out)["error"]
    assert code == 2
    assert "row 2: spans[0].quote" in error["summary"]
    assert "(trace r1)" in error["summary"]


def findings(**counts: Any) -> dict[Behavior, BehaviorFinding]:
    return {behavior: BehaviorFinding("ok", counts.get(behavior, 0)) for behavior in BEHAVIORS}


def test_missing_is_not_zero() -> None:
    gold = JudgementSource("gold", {name: TraceFindings(name, name, findings(verification=2)) for name in "abc"})
    failed: dict[Behavior, BehaviorFinding] = {**findings(), "verification": BehaviorFinding("refused", None)}
    judge = JudgementSource(
        "judge", {"a": TraceFindings("a", "a", findings(verification=2)), "b": TraceFindings("b", "b", failed)}
    )
    found = measure_agreement(gold, judge)
    assert found.compared["verification"] == 1
    assert found.counts["verification"].mean_second == 2.0
    assert found.counts["subgoal"].n == 2
    assert found.health.statuses == {"ok": 7, "refused": 1}
    assert len(found.warnings) == 2


def test_an_ordering_that_turns_round_shows() -> None:
    groups = ["one", "two", "three"]
    first = {g: TraceFindings(g, g, findings(verification=place), g) for place, g in enumerate(groups)}
    second = {g: TraceFindings(g, g, findings(verification=-place + 5), g) for place, g in enumerate(groups)}
    found = compare_orderings(JudgementSource("a", first), JudgementSource("b", second))
    assert found["verification"].tau == -1.0
    assert found["subgoal"].tau is None
