"""`cogtui compare` and `cogtui report` on experiments on disk."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from cogtui.analysis.chart import nice_ceiling
from cogtui.analysis.outcomes import load_runs
from cogtui.cli.main import run as cogtui
from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import BEHAVIORS
from tests.analysis.lab import cell, experiment, write_ppo, write_sample


def values(accuracy: float, count: float = 0.0) -> dict[str, float]:
    return {"accuracy": accuracy, "length": 20.0, "n": 40, **dict.fromkeys(BEHAVIORS, count)}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two conditions with three seeds, of which one run has not come to its end."""
    found = Workspace(tmp_path / "ws")
    found.create()
    cells = []
    for condition, ends, count in (("none", (0.18, 0.17, 0.19), 0.0), ("all_strategies", (0.66, 0.70, 0.68), 5.0)):
        for seed, end in enumerate(ends, start=1):
            key = f"ppo-{condition}-{seed}"
            curve = {0: values(0.05, count), 5: values(end / 2, count), 10: values(end, count)}
            if (condition, seed) == ("none", 3):
                del curve[10]
            write_ppo(found, key, 10, curve, labels={"condition": condition, "seed": seed})
            cells.append(cell(key, condition, seed))
    cells.append(cell("ppo-never", "dots", 1))
    experiment(found, "mini", cells)
    return found


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cogtui(list(arguments))
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_the_table_has_means_intervals_and_verdicts(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "compare", "mini", "-w", str(workspace.path))
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("mini: 5 of 7 runs finished; mean ± half of the 95 % interval")
    row = next(line for line in lines if line.strip().startswith("all_strategies"))
    assert re.split(r"\s{2,}", row.strip()) == [
        "all_strategies", "3 of 3", "120", "0.050 ± 0.000", "0.680 ± 0.050", "+0.630 ± 0.050",
    ]  # fmt: skip
    assert re.search(r"dots\s+0 of 1\s+–\s+–\s+–\s+–", out)  # missing is not zero
    assert re.search(r"holds\s+primed ends above unprimed", out)
    assert "none seed 3: evaluated up to step 5 of 10; left out" in err
    assert "dots seed 1: not evaluated yet; left out" in err


def test_samples_are_runs_only_where_nothing_is_trained_and_of_test_problems_only(tmp_path: Path) -> None:
    found = Workspace(tmp_path / "samples")
    found.create()
    write_ppo(found, "ppo-1", 10, {0: values(0.1), 10: values(0.2)}, labels={"condition": "none", "seed": 1})
    write_sample(found, "sample-1", "test", values(0.3))
    write_sample(found, "sample-2", "train", values(0.9))
    trained = load_runs(found, [cell("ppo-1", "none", 1, again="sample-1", sample="sample-2")])
    assert [run.key for run in trained] == ["ppo-1"]
    untrained = cell("base-1", "none", 1, again="sample-1", sample="sample-2")
    assert [(run.key, run.points[0]["accuracy"]) for run in load_runs(found, [untrained])] == [("sample-1", 0.3)]


def test_json_holds_every_point_and_the_published_figures(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "compare", "mini", "-w", str(workspace.path), "--reference", "paper", "--json")
    assert code == 0
    envelope = json.loads(out)
    (data,) = envelope["data"]
    groups: dict[str, Any] = {group["name"]: group for group in data["groups"]}
    end = groups["all_strategies"]["measures"]["accuracy"]["end"]
    assert end["mean"] == pytest.approx(0.68)
    assert end["low"] == pytest.approx(0.68 - 4.303 * 0.02 / 3**0.5)
    assert groups["none"]["measures"]["accuracy"]["end"]["n"] == 2
    assert [point["step"] for point in groups["none"]["runs"][2]["points"]] == [0, 5]
    assert groups["dots"]["measures"] == {}
    assert {claim["name"]: claim["verdict"] for claim in data["claims"]}["primed_above_unprimed"] == "holds"
    published = {(row["model"], row["condition"]): row for row in data["published"]}
    assert published["llama", "none"]["last"]["accuracy"] == pytest.approx(0.338, abs=1e-3)
    assert len(envelope["warnings"]) == 2


def test_two_experiments_are_compared_seed_by_seed(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    cells = []
    for seed, end in ((1, 0.76), (2, 0.81), (3, 0.77), (4, 0.9)):
        labels: dict[str, str | int] = {"condition": "all_strategies", "seed": seed}
        write_ppo(workspace, f"ppo-longer-{seed}", 20, {0: values(0.05, 5.0), 20: values(end, 4.0)}, labels=labels)
        cells.append(cell(f"ppo-longer-{seed}", "all_strategies", seed))
    cells += [cell(f"ppo-none-{seed}", "none", seed) for seed in (1, 2)]
    cells.append(cell("ppo-other", "only_backtracking", 1))
    experiment(workspace, "longer", cells)
    code, out, _ = call(capsys, "compare", "mini", "longer", "-w", str(workspace.path))
    assert code == 0
    lines = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]
    assert lines[0] == ["first: mini, 5 of 7 runs finished"]
    assert ["all_strategies", "3 paired", "0.680 ± 0.050", "0.810 ± 0.101", "+0.100 ± 0.025", "higher"] in lines
    assert ["none", "2 paired", "0.175 ± 0.064", "0.175 ± 0.064", "–", "the same runs"] in lines
    assert ["all_strategies", "3 paired", "5.00 ± 0.00", "4.00 ± 0.00", "-1.00 ± 0.00", "lower"] in lines
    assert ["stages.ppo.steps", "10", "20, 10"] in lines
    assert ["only in mini: dots"] in lines
    assert ["only in longer: only_backtracking"] in lines
    code, out, _ = call(capsys, "compare", "longer", "mini", "-w", str(workspace.path), "--json")
    one, two = json.loads(out)["data"]
    assert ("against" in one, two["experiment"], two["against"]["experiment"]) == (False, "mini", "longer")
    (found,) = [
        each
        for each in two["against"]["differences"]
        if (each["condition"], each["measure"], each["when"]) == ("all_strategies", "accuracy", "end")
    ]
    assert found["difference"]["mean"] == pytest.approx(-0.1)
    assert (found["difference"]["paired"], found["verdict"]) == (True, "lower")
    assert {"field": "stages.ppo.steps", "here": "10", "there": "20, 10"} in two["against"]["configs"]


def test_experiments_with_one_seed_have_no_interval_and_say_so(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment(workspace, "one", [cell("ppo-none-1", "none", 1)])
    experiment(workspace, "two", [cell("ppo-all_strategies-1", "all_strategies", 1)])
    _, out, _ = call(capsys, "compare", "one", "two", "-w", str(workspace.path))
    row = next(line for line in out.splitlines() if "none → all_strategies" in line)
    assert re.split(r"\s{2,}", row.strip()) == [
        "none → all_strategies", "1 paired", "0.180", "0.660", "+0.480", "no interval",
    ]  # fmt: skip


def test_an_unknown_experiment_is_named_with_the_nearest(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "compare", "minni", "-w", str(workspace.path))
    assert code == 4
    assert "no experiment 'minni'" in err
    assert "Did you mean mini?" in err


def test_the_report_is_one_page_that_needs_nothing_else(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    code, printed, _ = call(capsys, "report", "mini", "--out", str(out), "-w", str(workspace.path))
    assert code == 0
    assert printed.splitlines() == [str(out / "report.html"), str(out / "report.md")]
    page = (out / "report.html").read_text()
    assert "<script>" not in page
    assert not re.search(r'(?:src|href)="', page)
    charts = [ElementTree.fromstring(chart) for chart in re.findall(r"<svg.*?</svg>", page, re.S)]
    assert len(charts) == 2 + len(BEHAVIORS)
    names = {text.text for text in charts[0].iter("{http://www.w3.org/2000/svg}text")}
    assert "all_strategies 0.68" in names
    assert len(list(charts[0].iter("{http://www.w3.org/2000/svg}polyline"))) == 2  # dots has no point
    text = (out / "report.md").read_text()
    assert "| all\\_strategies | 3 of 3 | 120 | 0.050 ± 0.000 | 0.680 ± 0.050 | +0.630 ± 0.050 |" in text


def test_a_folder_that_cannot_be_made_is_said_so(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    file = workspace.path / "file"
    file.write_text("")
    code, _, err = call(capsys, "report", "mini", "--out", str(file / "below"), "-w", str(workspace.path))
    assert code == 3
    assert "the report cannot be written" in err


@pytest.mark.parametrize(("value", "top"), [(0.68, 1.0), (0.18, 0.2), (7.6, 10.0), (117, 200), (0, 1.0), (1.0, 1.0)])
def test_axes_end_at_round_numbers(value: float, top: float) -> None:
    assert nice_ceiling(value) == pytest.approx(top)
