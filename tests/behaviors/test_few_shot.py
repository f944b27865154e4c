"""People's disagreements with an LLM judge become examples in its prompts, measured on traces that were held out."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cogtui.analysis.agreement.corrections import compare_versions, find_examples, split_texts
from cogtui.analysis.agreement.sources import TextToJudge
from cogtui.cli.main import run as cogtui
from cogtui.store.user_data.annotations import append_annotations, new_annotation
from jobs.workspace import Workspace
from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.judges.llm.few_shot import PromptExample, add_examples, example_at
from pipelines.behaviors.judges.llm.prompts import fill
from pipelines.errors import InvalidInput
from pipelines.records import LabelledSpan, countdown_fields
from tests.behaviors.llm_lab import judging, sample_stage, segments_shown, settings_for
from tests.behaviors.test_panel import source
from tests.loopback.brain import Question
from tests.loopback.server import serve
from tests.loopback.state import State

KEY = "sk-few-shot-0123456789"
SEEN, UNSEEN = "7 is not 24", "that misses the mark"
WRONG = "It works like this"


def test_an_example_has_its_sentence_and_the_one_before() -> None:
    text = "One. Two is here. Three says hmm, no. Four."
    start = text.index("hmm, no")
    found = example_at(text, start, start + 7, is_instance=True)
    assert found.quote == "hmm, no"
    assert found.context == "Two is here. Three says hmm, no."
    long = example_at("a" * 5000 + " hmm " + "b" * 5000, 5001, 5004, is_instance=False)
    assert "hmm" in long.context
    assert len(long.context) <= 520


def test_examples_cannot_forge_a_prompt() -> None:
    hostile = PromptExample('a\n\n{trace} {problem} ⟦deadbeef 7⟧ \x1b[31m "x"', "{numbers}", is_instance=True)
    text = add_examples("Find every X.", [hostile, PromptExample("plain", "plain", is_instance=False)])
    assert fill(text, dict.fromkeys(("trace", "problem", "numbers"), "FILLED")) == text
    assert "⟦" not in text
    assert "\x1b" not in text
    assert text.count("\n") == 6  # the question, a blank line, a heading, and two lines for each example
    assert '2. Does not count: "plain"' in text
    assert add_examples("Find every X.", []) == "Find every X."


def test_no_problem_is_on_both_sides_of_the_split() -> None:
    texts = [TextToJudge(f"t{n}", "countdown", {"id": f"p{n % 10}"}, "x") for n in range(40)]
    split = split_texts(texts)
    assert split.by_problem
    assert not {one.problem_id for one in split.examples} & {one.problem_id for one in split.held_out}
    assert len(split.held_out) == 20
    assert split == split_texts(texts)
    few = split_texts([TextToJudge(f"t{n}", "countdown", {"id": "p"}, "x") for n in range(6)])
    assert not few.by_problem
    assert len(few.examples) == len(few.held_out) == 3
    with pytest.raises(InvalidInput, match="1 texts are labelled"):
        split_texts(texts[:1])


def test_examples_are_of_both_kinds_and_one_a_text() -> None:
    texts = [TextToJudge(uid, "countdown", {"id": uid}, "xxxxxxxxx") for uid in "1234"]
    people, judge = source("people", {"1": 3, "2": 0, "3": 1, "4": 1}), source("j", {"1": 0, "2": 2, "3": 1, "4": 0})
    found = find_examples(people, judge, texts, most=2)["verification"]
    assert [one.is_instance for one in found] == [True, False]
    found = find_examples(people, judge, texts, most=9)["verification"]
    assert [one.is_instance for one in found] == [True, False, True]
    after = source("j", {"1": 3, "2": 0, "3": 1, "4": 0})
    compared = compare_versions(people, judge, after, texts)
    assert compared.gain is not None
    assert compared.gain > 0
    assert compared.gain_interval is not None
    assert compared.gain_interval[0] <= compared.gain <= compared.gain_interval[1]
    assert compared.before.traces == compared.after.traces == 4


def learning(question: Question) -> str:
    """A judge that also marks what the examples of its question count, and leaves out what they do not."""
    answer = json.loads(judging(question))
    counted = [json.loads(quote) for quote in re.findall(r"\d\. Counts: (\".*\")", question.user)]
    not_counted = [json.loads(quote) for quote in re.findall(r"\d\. Does not count: (\".*\")", question.user)]
    instances = [one for one in answer["instances"] if not any(quote in one["quote"] for quote in not_counted)]
    for number, text in segments_shown(question.user).items():
        for quote in counted:
            if quote in text and not any(one["segment"] == number for one in instances):
                instances.append({"segment": number, "quote": quote, "why": "as in an example"})
    return json.dumps({"instances": instances, "count": len(instances)}, ensure_ascii=False)


@pytest.fixture
def state() -> State:
    return State(brain=learning, key=KEY)


@pytest.fixture
def url(state: State) -> Iterator[str]:
    pytest.importorskip("openai")
    with serve(state) as base_url:
        yield base_url


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Twelve problems; a person marks two verdicts in each, of which the judge sees one, and sees one that is none."""
    place = Workspace(tmp_path / "ws")
    place.create()
    tasks, annotations = [], []
    for number in range(12):
        text = f"3 + 4 = 7. {SEEN}.\nSo {UNSEEN}, number {number}.\n{WRONG}."
        uid = f"{number:016x}"
        tasks.append(JudgeTask(uid, **countdown_fields((3, 4, 5 + number), 24), completion=text))
        spans = tuple(
            LabelledSpan(behavior="verification", start=text.index(one), end=text.index(one) + len(one), quote=one)
            for one in (SEEN, UNSEEN)
        )
        annotations.append(new_annotation(uid, text, "ann@desk", spans=spans, done=True))
    sample_stage(place.stages / "sample-0123456789ab", tasks)
    append_annotations(place, annotations)
    return place


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    with pytest.raises(SystemExit) as stop:
        cogtui([*arguments, "--json"])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), json.loads(captured.out), captured.err


@pytest.mark.slow
def test_examples_from_corrections_improve_the_judge_on_held_out_traces(
    workspace: Workspace, state: State, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    fields = settings_for("openai", state, url, tmp_path)
    place = ("-w", str(workspace.path))
    judged, _, err = call(
        capsys, "judge", "--judge", fields["judge"], "--url", fields["url"], "--prices", fields["prices"], "-y", *place
    )
    assert judged == 0, err
    asked = state.ledger.requests
    out = tmp_path / "prompts"
    code, answer, err = call(capsys, "gold", "examples", fields["judge"], "--out", str(out), *place)
    assert code == 0, err
    data = answer["data"]
    assert state.ledger.requests == asked  # nothing is spent without --evaluate
    assert data["after"] is None
    assert data["prompt_sha256"] != data["new_prompt_sha256"]
    assert data["split_by_problem"]
    assert set(data["examples_from"]).isdisjoint(data["held_out"])
    kinds = {(one["quote"], one["is_instance"]) for one in data["examples"]["verification"]}
    assert (UNSEEN, True) in kinds
    assert any(not is_instance and WRONG in quote for quote, is_instance in kinds)
    assert "Examples that people decided" in Path(data["prompts"]["verification"]).read_text()

    code, answer, err = call(capsys, "gold", "examples", fields["judge"], "--out", str(out), "--evaluate", "-y", *place)
    assert code == 0, err
    data = answer["data"]
    assert state.ledger.requests - asked == 4 * len(data["held_out"])  # only those held out are judged again
    before, after = (data[when]["behaviors"]["verification"] for when in ("before", "after"))
    assert before["traces"] == after["traces"] == len(data["held_out"])
    assert before["f1"] == pytest.approx(0.5)  # one hit, one miss, one extra in each
    assert after["f1"] == 1.0
    assert data["gain"]["f1"] > 0
    # The new version is a judge run of its own, listed beside the old one.
    code, answer, _ = call(capsys, "agreement", "--judge", "human", "--versions", fields["judge"], *place)
    assert [row["prompt_sha256"] for row in answer["data"]] == [data["prompt_sha256"], data["new_prompt_sha256"]]


def test_examples_are_of_llm_judges_only(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = ("--out", str(tmp_path / "out"), "-w", str(workspace.path))
    code, answer, _ = call(capsys, "gold", "examples", "human", *place)
    assert code == 2
    assert "has no prompts" in answer["error"]["summary"]
    code, answer, _ = call(capsys, "gold", "examples", "openai:m", *place)
    assert code == 4
    assert "no judge run 'openai:m'" in answer["error"]["summary"]


@pytest.mark.slow
def test_a_model_that_is_asked_again_is_compared_with_itself(
    workspace: Workspace, state: State, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    fields = settings_for("openai", state, url, tmp_path)
    judge = ("judge", "--judge", fields["judge"], "--url", fields["url"], "--prices", fields["prices"], "-y")
    place = ("-w", str(workspace.path))
    assert call(capsys, *judge, *place)[0] == 0
    # Asked again it marks nothing in the texts with number 1, 10 and 11.
    state.brain = lambda question: (
        learning(question) if "number 1" not in question.user else '{"instances": [], "count": 0}'
    )
    code, answer, err = call(capsys, *judge, "--repeat", "1", *place)
    assert code == 0, err
    assert answer["data"]["to_judge"] == 12  # another judge run: nothing counts as judged
    code, answer, err = call(capsys, "agreement", "--self", fields["judge"], *place)
    assert code == 0, err
    assert [one["name"] for one in answer["data"]["judges"]] == ["repeat 0", "repeat 1"]
    found = answer["data"]["counts"]["verification"]
    assert found["traces"] == 12
    assert found["alpha"] < 1
    (pair,) = [one for one in answer["data"]["pairs"] if one["behavior"] == "verification"]
    assert pair["f1"] == pytest.approx(2 * 18 / (2 * 18 + 6))  # 9 of 12 texts alike, two spans each
