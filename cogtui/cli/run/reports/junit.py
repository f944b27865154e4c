"""A run as JUnit XML: a test case for each stage and each assertion, as CI systems read it."""

import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal
from xml.etree import ElementTree

from cogtui.cli.run.reports.outcome import AssertionOutcome, RunOutcome
from jobs.planning.types import StageInstance
from jobs.state.types import StageState, StateName
from pipelines.text_safety import picture_controls

CaseResult = Literal["passed", "failure", "error", "skipped"]
RESULTS: Final[Mapping[StateName, CaseResult]] = {
    "done": "passed",
    "failed": "failure",
    "timeout": "failure",
    "cancelled": "error",
    "preempted": "error",
    "lost": "error",
    "unknown": "error",
    "blocked": "skipped",
    "planned": "skipped",
    "queued": "skipped",
    "running": "skipped",
    "resuming": "skipped",
}
"""What each state at the end of a run becomes: `failure` where the stage ended by an error of its own, `error` where
something outside ended it, `skipped` where it did not get its turn or still runs."""
_ILLEGAL: Final = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow, escaped or not."""


def junit_xml(outcome: RunOutcome) -> bytes:
    """Return the report as UTF-8."""
    name = xml_text(outcome.plan.name)
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        timestamp=datetime.fromtimestamp(outcome.began, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        hostname=xml_text(platform.node()),
        time=f"{outcome.elapsed_s:.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in (("workspace", str(outcome.workspace.path)), ("recipe", str(outcome.plan.recipe_path))):
        ElementTree.SubElement(properties, "property", name=key, value=xml_text(value))
    reused = {submission.key for submission in outcome.submissions if submission.action == "reused"}
    for stage in outcome.stages:
        _add_stage(suite, outcome, stage, reused=stage.key in reused)
    for one in outcome.assertions:
        _add_assertion(suite, name, one)
    for text in outcome.unevaluated():
        _add_assertion(suite, name, AssertionOutcome(text, "skipped", message="the run ended before its results"))
    error = outcome.other_error
    if error is not None:
        moment = "end" if outcome.begun else "start"
        case = ElementTree.SubElement(suite, "testcase", classname=f"{name}.run", name=moment, time="0")
        _add_result(case, "error", error.code, error.summary, str(error))
    _count(suite)
    suites = ElementTree.Element("testsuites", {**suite.attrib, "name": "cogtui"})
    del suites.attrib["timestamp"], suites.attrib["hostname"]
    suites.append(suite)
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()


def xml_text(text: str) -> str:
    """Return a text whose control characters are visible ones, and without characters that XML does not allow."""
    return _ILLEGAL.sub("\ufffd", picture_controls(text, keep="\n\t"))


def _add_stage(suite: ElementTree.Element, outcome: RunOutcome, stage: StageInstance, *, reused: bool) -> None:
    state = outcome.states.get(stage.key)
    name = outcome.state_of(stage)
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=xml_text(f"{outcome.plan.name}.{stage.name}"),
        name=xml_text(stage.title),
        time=f"{0.0 if reused else _duration_s(state, outcome.began + outcome.elapsed_s):.3f}",
    )
    if RESULTS[name] != "passed":
        reason = "" if state is None else state.reason
        remedy = "" if state is None else state.remedy
        detail = "\n".join(part for part in (reason, remedy, f"stage {stage.key}") if part)
        _add_result(case, RESULTS[name], name, f"{name}: {reason}" if reason else name, detail)
    warnings = next((one.result.get("warnings") or () for one in outcome.finished if one.stage.key == stage.key), ())
    said = [
        f"stage {stage.key}",
        *(["done before this run"] if reused else []),
        *(f"warning: {one}" for one in warnings),
    ]
    ElementTree.SubElement(case, "system-out").text = xml_text("\n".join(said))


def _duration_s(state: StageState | None, now: float) -> float:
    """Return how long the last attempt ran; a process that is about to exit is taken to end now."""
    runs = state.attempts[-1].runs if state is not None and state.attempts else ()
    return sum(max(0.0, (now if run.ended is None else run.ended) - run.started) for run in runs)


def _add_assertion(suite: ElementTree.Element, name: str, one: AssertionOutcome) -> None:
    cell = f" ({one.cell})" if one.cell else ""
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"{name}.assertions", name=xml_text(f"{one.text}{cell}"), time="0"
    )
    results: dict[str, CaseResult] = {"true": "passed", "false": "failure", "error": "error", "skipped": "skipped"}
    if one.outcome != "true":
        _add_result(case, results[one.outcome], "assertion", one.message, one.message)
    else:
        ElementTree.SubElement(case, "system-out").text = xml_text(one.message)


def _add_result(case: ElementTree.Element, result: CaseResult, kind: str, message: str, detail: str) -> None:
    attributes = {"message": xml_text(message)} if result == "skipped" else {"type": kind, "message": xml_text(message)}
    ElementTree.SubElement(case, result, attributes).text = xml_text(detail)


def _count(suite: ElementTree.Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
