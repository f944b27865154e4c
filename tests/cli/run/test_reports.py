"""JUnit and GitHub summaries of runs: what each state becomes, hostile texts, and files that cannot be written."""

import json
import re
import stat
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogtui.cli.run.check import AssertionCheck
from cogtui.cli.run.reports.files import RunReports
from cogtui.cli.run.reports.github import MAX_BYTES, markdown_summary, markdown_text
from cogtui.cli.run.reports.junit import RESULTS, junit_xml
from cogtui.cli.run.reports.outcome import AssertionOutcome, RunOutcome
from cogtui.cli.run.summary import FinishedStage
from jobs.planning.types import RecipePlan, StageInstance
from jobs.state.types import STATES, StageState, StateName
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, MissingRequirement, StageFailed
from tests.cli.run.test_run_command import LOCAL, cogtui

FAILED: list[StateName] = ["failed"]
HOSTILE = "]]>\x00\x1b[2J\ufffe\ud800 <b a=\"1\" c='2'>&amp; | `x` @team #1 [l](http://x) \n# head"


def outcome(*states: StateName, reason: str = "", name: str = "mini") -> RunOutcome:
    """A run with a stage in each of these states."""
    stages = [StageInstance(f"ppo-{place}", "ppo", "ppo", {}, {}, labels={"n": place}) for place in range(len(states))]
    found = RunOutcome(RecipePlan(name, Path("mini.toml"), "", (), (), ()), stages, Workspace(Path("ws")))
    found.states = {
        stage.key: StageState(stage.key, "ppo", "ppo", {}, state, "exit.json", None, reason=reason)
        for stage, state in zip(stages, states, strict=True)
    }
    found.finished = [FinishedStage(one, {}) for one, state in zip(stages, states, strict=True) if state == "done"]
    return found


def suite(run: RunOutcome) -> ElementTree.Element:
    found = ElementTree.fromstring(junit_xml(run)).find("testsuite")
    assert found is not None
    return found


def test_every_state_has_its_place_in_junit_and_only_done_passes() -> None:
    found = suite(outcome(*STATES, reason="why"))
    results = {}
    for state, case in zip(STATES, found.findall("testcase"), strict=True):
        tags = [child.tag for child in case if child.tag != "system-out"]
        results[state] = tags[0] if tags else "passed"
        assert state == "done" or next(iter(case)).get("message") == f"{state}: why"
    assert results == RESULTS
    assert [state for state, result in results.items() if result == "passed"] == ["done"]
    assert (results["failed"], results["cancelled"], results["blocked"]) == ("failure", "error", "skipped")
    counts = {name: sum(value == tag for value in results.values()) for name, tag in
              (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))}  # fmt: skip
    assert {name: found.get(name) for name in counts} == {name: str(count) for name, count in counts.items()}


def test_assertions_are_cases_evaluated_or_not() -> None:
    run = outcome("done")
    run.assertion_texts = ("a.x > 1", "a.y > 1", "a.z > 1", "a.w > 1")
    run.assertions = [
        AssertionOutcome.of_check(AssertionCheck("a.x > 1", "seed=1", True, {"a.x": 2.0})),
        AssertionOutcome.of_check(AssertionCheck("a.y > 1", "seed=1", False, {"a.y": 0.5})),
        AssertionOutcome("a.z > 1", "error", message="a.z is missing"),
    ]
    cases = {case.get("name"): case for case in suite(run).findall("testcase")}
    assert [child.tag for child in cases["a.x > 1 (seed=1)"]] == ["system-out"]
    assert next(iter(cases["a.y > 1 (seed=1)"])).attrib == {"type": "assertion", "message": "seed=1: a.y = 0.5"}
    assert next(iter(cases["a.z > 1"])).tag == "error"
    assert next(iter(cases["a.w > 1"])).tag == "skipped"
    text = unescape(markdown_summary(run))
    for row in ("| ✓ | a.x > 1 |", "| ✗ | a.y > 1 |", "| ! | a.z > 1 |", "| · | a.w > 1 |"):
        assert row in text


def test_a_run_that_could_not_start_is_an_error_of_its_own() -> None:
    run = outcome()
    run.error = MissingRequirement("no sbatch here", remedy="Install Slurm.")
    (case,) = suite(run).findall("testcase")
    assert case.get("name") == "start"
    assert "Install Slurm." in (case.findtext("error") or "")
    assert "no sbatch here" in markdown_summary(run)


@given(text=st.text() | st.just(HOSTILE))
def test_any_text_gives_valid_xml_and_inert_markdown(text: str) -> None:
    run = outcome("failed", reason=text, name="mini")
    run.error = StageFailed(text or "x")
    failure = suite(run).find("testcase/failure")
    assert failure is not None
    shown = markdown_text(text)
    assert not re.search(r"[<>|`*_\[\]@#!~$\\](?!\d+;)", re.sub(r"&#\d+;", "", shown))
    assert "\n" not in shown
    assert all(line.count("|") in (0, 5) for line in markdown_summary(run).splitlines())


def test_hostile_texts_keep_what_can_be_read() -> None:
    failure = suite(outcome("failed", reason=HOSTILE)).find("testcase/failure")
    assert failure is not None
    assert failure.text is not None
    assert failure.text.startswith("]]>␀␛[2J�� <b a=\"1\" c='2'>&amp; | `x` @team #1 [l](http://x) \n# head")


def test_a_summary_is_never_longer_than_github_takes() -> None:
    text = markdown_summary(outcome(*FAILED * 3000, reason="x" * 3000))
    assert len(text.encode()) < MAX_BYTES + 200
    assert "… and 2,800 more" in text or "… cut" in text


def test_files_are_checked_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "light.toml").write_text(LOCAL)
    (tmp_path / "locked").mkdir()
    for path, code in ((tmp_path, 2), (tmp_path / "nowhere" / "j.xml", 3)):
        done = cogtui(tmp_path, "light.toml", "--junit", str(path))
        assert done.returncode == code
        assert "--junit: " in done.stderr
    done = cogtui(tmp_path, "light.toml", "--junit", "j.xml", "--detach")
    assert "--junit needs results" in done.stderr
    assert not (tmp_path / "cogtui-workspace").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["light.toml", "locked"]


def test_a_file_that_can_no_longer_be_written_is_an_error_and_hides_none(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    reports = RunReports.prepare(folder / "j.xml", github_summary=False)
    folder.rmdir()
    problem = reports.write(outcome("done"))
    assert problem is not None
    assert "cannot be written" in problem.summary


def test_a_summary_is_appended_and_only_where_github_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    RunReports.prepare(None, github_summary=True, environment={"GITHUB_STEP_SUMMARY": str(path)}).write(outcome("done"))
    assert path.read_text().startswith("before\n## ✓ mini&#58; 1 stage done in 0 s")
    assert RunReports.prepare(None, github_summary=True, environment={}).summary is None
    assert "GITHUB_STEP_SUMMARY is not set" in capsys.readouterr().err
    path.chmod(stat.S_IRUSR)
    with pytest.raises(InvalidInput):
        RunReports.prepare(None, github_summary=True, environment={"GITHUB_STEP_SUMMARY": str(tmp_path)})


def test_a_run_writes_both_reports_whatever_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "light.toml").write_text(LOCAL)
    arguments = ("light.toml", "--only", "problems", "--display", "none", "--junit", "j.xml")
    assert cogtui(tmp_path, *arguments, "--assert", "problems.train == 40").returncode == 0
    first = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert (first.get("tests"), first.get("failures"), first.get("errors")) == ("2", "0", "0")
    case = first.find("testsuite/testcase")
    assert case is not None
    assert float(case.get("time", "0")) > 0
    full = cogtui(tmp_path, *arguments[:-1], "/dev/full", "--json")
    assert (full.returncode, "the report /dev/full cannot be written" in full.stderr) == (3, True)
    assert json.loads(full.stdout)["data"]["experiment"] == "light"  # one envelope
    assert cogtui(tmp_path, *arguments, "--assert", "problems.train > 40").returncode == 1
    assert ElementTree.parse(tmp_path / "j.xml").getroot().get("failures") == "1"
    with monkeypatch.context() as patch:
        patch.setattr("cogtui.cli.run.flow.end_run", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cogtui(tmp_path, *arguments, "--github-summary")
    broken = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert [case.get("name") for case in broken.iter("testcase") if case.find("error") is not None] == ["end"]
    assert "## ✗ light&#58; ZeroDivisionError" in (tmp_path / "summary.md").read_text()
