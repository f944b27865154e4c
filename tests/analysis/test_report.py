"""`cogtui report`: what the page says of an experiment, and what it says where something is missing."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cogtui.analysis.chart import SMALL, ChartSeries, render_line_chart
from cogtui.analysis.intervals import MeanEstimate
from cogtui.analysis.outcomes import group_runs, load_runs
from cogtui.analysis.report.samples import choose_samples
from cogtui.analysis.report.write import write_report
from cogtui.store import open_store
from jobs.planning.cell import Cell
from jobs.planning.experiments import Experiment
from jobs.workspace import Workspace
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.files import write_json
from pipelines.records import Judgement, JudgeRun, Rollout, countdown_fields, rollout_id, text_sha256
from tests.analysis.gold_lab import annotate, write_texts
from tests.analysis.lab import write_ppo

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = '<script>alert(1)</script> & "quoted" \x1b[31m ‮ 3 + 5 = 8'
RECIPE = """\
# shows: does priming pay?
# takes: 3 s
#
# A first paragraph
# in two lines. Expected:
#   1. one thing
#   2. another
# More about it.
#
#     cogtui run this
name = "mini"

[stages.ppo]
kind = "ppo"
steps = 10

[[compare.claims]]
text = "written <b>before</b>"
above = { condition = "all_strategies" }
below = { condition = "none" }
"""


class Page(HTMLParser):
    """The elements and the text of a page, entities read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def add_run(
    workspace: Workspace, condition: str, seed: int, rewards: dict[int, list[float | None]], text: str = HOSTILE
) -> Cell:
    """A ppo run of ten steps with an evaluation of these rewards at each step."""
    key = f"ppo-{condition}-{seed}"
    count = 0.0 if condition == "none" else 3.0
    curve = {
        step: {
            "accuracy": sum(one == 1 for one in found) / len(found),
            "reward": 0.5,
            "n": len(found),
            **dict.fromkeys(BEHAVIORS, count),
        }
        for step, found in rewards.items()
    }
    write_ppo(workspace, key, 10, curve, labels={"condition": condition, "seed": seed})
    with workspace.folder(key).stream("rollouts", "eval") as stream:
        stream.append(
            Rollout(
                id=rollout_id(key, "test", step, f"p{place}", 0),
                step=step,
                split="test",
                problem_id=f"p{place}",
                sample=0,
                **countdown_fields((3, 5, 4), 32),
                prompt="",
                completion=text,
                reward=reward,
                correct=None if reward is None else reward == 1,
                answer=None,
                finish_reason="stop",
                n_tokens=5,
            )
            for step, found in rewards.items()
            for place, reward in enumerate(found)
        )
    return Cell(labels={"condition": condition, "seed": seed}, stages={"ppo": key})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    found = Workspace(tmp_path / "ws")
    found.create()
    return found


def started(*cells: Cell) -> Experiment:
    return Experiment(name="mini", time=1.0, recipe_path="there/mini.toml", recipe=RECIPE, cells=cells)


def report(workspace: Workspace, *cells: Cell) -> str:
    """The page of an experiment of these cells."""
    with open_store(workspace) as store:
        store.ingest()
        files = write_report(started(*cells), store, workspace.path / "out").files
    return files[0].read_text()


def test_a_page_has_the_sections_of_a_report_and_needs_nothing_else(workspace: Workspace) -> None:
    cells = [
        add_run(workspace, condition, seed, {0: [0.1, 0.1, 1.0], 10: [1.0, end, 0.1]})
        for condition, end in (("none", 0.0), ("all_strategies", 1.0))
        for seed in (1, 2, 3)
    ]
    text = report(workspace, *cells)
    page = Page(text)
    sections = ["What came out", "Set-up", "Claims", "Figures", "Tables", "Six sample traces", "Judges", "Provenance"]
    places = [page.text.index(title) for title in [*sections, "How to reproduce"]]
    assert places == sorted(places)
    assert "does priming pay?" in page.text
    about = ["A first paragraph in two lines. Expected:", "1. one thing", "2. another", "More about it."]
    assert "".join(f"<p>{text}</p>" for text in about) in text
    assert "written <b>before</b>" in page.text
    assert "? undecided" in page.text or "✓ holds" in page.text
    assert "all_strategies − none, accuracy at the end: +0.333 ± 0.000 over 3 seeds" in page.text
    assert "cogtui run mini.toml" in page.text
    assert "Save the recipe below as mini.toml" in page.text
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link", "iframe"}
    assert not [name for _, found in page.tags for name in found if name.startswith("on") or name in ("src", "href")]
    assert '<meta name="viewport"' in text
    assert all(mode in text for mode in ("prefers-color-scheme: dark", "@media print", "overflow-x: auto"))


def test_hostile_texts_stay_text_in_both_files(workspace: Workspace) -> None:
    cells = [add_run(workspace, "none", 1, {0: [0.1], 10: [1.0, 0.1]})]
    text = report(workspace, *cells)
    page = Page(text)
    assert '<script>alert(1)</script> & "quoted"' in page.text
    assert "\x1b" not in text
    assert "‮" not in text
    markdown = (workspace.path / "out/report.md").read_text()
    assert "\x1b" not in markdown
    assert "‮" not in markdown
    assert "| condition | none | 1 |" in markdown
    assert "Six sample traces" in markdown


def test_a_fence_in_a_completion_cannot_end_the_block(workspace: Workspace) -> None:
    report(workspace, add_run(workspace, "none", 1, {10: [1.0]}, "```\n# Results\n````\nend"))
    markdown = (workspace.path / "out/report.md").read_text()
    assert "`````\n```\n# Results\n````\nend\n`````" in markdown


def test_six_traces_are_chosen_by_rules_that_are_said(workspace: Workspace) -> None:
    cells = [
        add_run(workspace, "none", 1, {0: [0.0], 10: [0.1, 0.1, 0.1, 0.0]}, "1 + 1 = 2"),
        add_run(workspace, "all_strategies", 1, {10: [1.0, 1.0, 0.1]}, "1 + 1 = 2, which is not 3."),
    ]
    groups = group_runs(load_runs(workspace, cells))
    with open_store(workspace) as store:
        store.ingest()
        found = choose_samples(store, groups)
        again = choose_samples(store, groups)
    assert [one.rule for one in found.traces] == [one.rule for one in again.traces]
    ids = [one.detail.row.id for one in found.traces]
    assert ids == [one.detail.row.id for one in again.traces]
    assert len(set(ids)) == len(ids) == 5  # nobody judged them, so there are no counts to go by
    assert found.population == "Chosen from 7 completions of test problems, of the last evaluation of each run."
    every = sorted(
        rollout_id(f"ppo-{condition}-1", "test", 10, f"p{place}", 0)
        for condition, n in (("none", 4), ("all_strategies", 3))
        for place in range(n)
    )
    assert found.traces[0].rule == "first by id"
    assert ids[0] == every[0]
    rows = [one.detail.row for one in found.traces]
    assert rows[1].condition == "none"
    assert rows[2].condition == "all_strategies"
    assert "all_strategies, which ends highest" in found.traces[2].rule
    left = {name for name in every if name not in ids[:3]}
    highest, lowest = rows[3], rows[4]
    assert found.traces[3].rule.startswith(f"highest reward ({highest.reward:g})")
    assert found.traces[4].rule.startswith("lowest reward (0")
    assert {highest.id, lowest.id} <= left
    assert all(row.step == 10 for row in rows)
    assert {one.judge for one in found.traces} == {"rules, run for this report"}


def test_a_cell_without_judgements_is_judged_for_the_page_and_says_so(workspace: Workspace) -> None:
    text = "6 * 3 = 18, which is not 32. Let me try something else. 8 * 4 = 32, which is right."
    cells = [add_run(workspace, name, 1, {10: [1.0, 0.1] * 4}, text) for name in ("none", "all_strategies")]
    folder = workspace.folder(cells[1].stages["ppo"])
    write_json(folder.artifacts / "judge_run.json", JudgeRun(id="people-1", judge="somebody").model_dump(mode="json"))
    with folder.stream("judgements", "eval") as stream:
        stream.append(
            Judgement(
                rollout_id=rollout_id(folder.key, "test", 10, f"p{place}", 0),
                judge_run="people-1",
                behavior=behavior,
                status="ok" if behavior == "verification" else "api_error",
                count=7 if behavior == "verification" else None,
                text_sha256=text_sha256(text),
            )
            for place in range(8)
            for behavior in FOUR_HABITS.names
        )
    page = Page(report(workspace, *cells))
    assert "most behaviours counted (7)" in page.text
    assert "somebody: V 7, B – (api_error), S – (api_error), C – (api_error)" in page.text
    assert "No count for backtracking: api_error" in page.text
    assert re.search(r"rules, run for this report: V [1-9]", page.text)
    assert "only one judge has judged" in page.text


def test_people_who_judged_the_same_completions_give_an_agreement(workspace: Workspace) -> None:
    made = [(place % 3, 1) for place in range(9)]
    cell = write_texts(workspace, {"condition": "none", "seed": 1}, {10: made})
    annotate(workspace, cell.stages["ppo"], 10, made, range(9), annotator="ann@desk")
    annotate(workspace, cell.stages["ppo"], 10, made, range(8), annotator="bob@desk", missed=1)
    page = Page(report(workspace, cell))
    assert "agreement of 2 judges and people (Krippendorff's alpha)" in page.text
    assert "human:ann@desk and human:bob@desk" in page.text
    assert re.search(r"human:ann@desk\s*9\s*9", page.text)
    (alpha,) = re.findall(r"verification0?\.(\d\d) \(", page.text)
    assert 0 < int(alpha) < 100
    assert "Agreement was not measured" not in page.text


def test_what_is_missing_is_said_and_is_not_zero(workspace: Workspace) -> None:
    cells = [
        add_run(workspace, "none", 1, {0: [None], 10: [None]}),
        Cell(labels={"condition": "dots", "seed": 1}, stages={"ppo": "ppo-never"}),
    ]
    page = Page(report(workspace, *cells))
    assert "There is one seed: nothing here has an interval over seeds." in page.text
    assert "1 of 2 runs finished; the others are left out and named below." in page.text
    assert "dots seed 1: not evaluated yet; left out" in page.text
    assert re.search(r"dots\s*0 of 1\s*–", page.text)
    assert "dots – no value" in page.text
    assert "not scored, reward –" in page.text
    assert "lowest reward" not in page.text
    assert "no folder" in page.text
    assert "Agreement was not measured: no judge run and no person has judged here" in page.text


def test_an_experiment_that_never_ran_has_a_report_too(workspace: Workspace) -> None:
    page = Page(report(workspace, Cell(labels={"condition": "none"}, stages={"ppo": "ppo-never"})))
    assert "0 of 1 run finished" in page.text
    assert "No completion of an evaluation on test problems is in the index yet." in page.text
    assert "There is nothing to compare" in page.text


@pytest.mark.parametrize("time", [1e300, float("nan"), -1e18])
@pytest.mark.parametrize("recipe", ["", "name = [broken", "stages = 3", "[stages]\nx = 1\n[stages.y]\nneeds = 4"])
def test_a_damaged_snapshot_still_has_a_report(workspace: Workspace, recipe: str, time: float) -> None:
    experiment = started(Cell(labels={"condition": "none"}, stages={"ppo": "ppo-never"}))
    damaged = experiment.model_copy(update={"recipe": recipe, "time": time, "recipe_path": "", "python": ""})
    with open_store(workspace) as store:
        files = write_report(damaged, store, workspace.path / "out").files
    page = Page(files[0].read_text())
    assert "Started at an unknown time" in page.text
    assert "The recipe states no question" in page.text


def test_a_long_completion_is_cut_and_the_rest_counted(workspace: Workspace) -> None:
    page = Page(report(workspace, add_run(workspace, "none", 1, {10: [1.0]}, "1 + 1 = 2. " * 2000)))
    assert "… and 16,000 characters more" in page.text


def test_a_metrics_file_with_gaps_breaks_the_line(workspace: Workspace) -> None:
    cells = [add_run(workspace, "none", seed, {step: [1.0] for step in (0, 2, 4, 10)}) for seed in (1, 2)]
    path = next((workspace.stages / cells[0].stages["ppo"]).glob("metrics-eval*"))
    lines = path.read_text().splitlines()
    values = json.loads(lines[1])
    values["values"].pop("accuracy")
    path.write_text("\n".join([lines[0], json.dumps(values), *lines[2:], '{"torn": ']) + "\n")
    text = report(workspace, *cells)
    chart = ElementTree.fromstring(re.findall(r"<svg.*?</svg>", text, re.S)[0])
    lines_drawn = list(chart.iter("{http://www.w3.org/2000/svg}polyline"))
    assert [len(line.attrib["points"].split()) for line in lines_drawn] == [3, 1]


def test_a_step_that_only_another_line_has_is_a_gap() -> None:
    def points(*steps: int) -> list[tuple[int, MeanEstimate]]:
        return [(step, MeanEstimate(1.0, None, 1)) for step in steps]

    drawn = render_line_chart("t", [ChartSeries("a", points(0, 5, 10)), ChartSeries("b", points(0, 10))], SMALL)
    chart = ElementTree.fromstring(drawn)
    lines = list(chart.iter("{http://www.w3.org/2000/svg}polyline"))
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 1, 1]
    names = [text.text for text in chart.iter("{http://www.w3.org/2000/svg}text")]
    assert names[-4:] == ["a", "a 1.00", "b", "b 1.00"]


def test_long_names_below_a_chart_are_wrapped_and_none_is_cut() -> None:
    name = "base=mini-habits condition=backtracking_verification dose=25"
    points = [(0, MeanEstimate(0.5, None, 1)), (9, MeanEstimate(0.25, None, 1))]
    chart = ElementTree.fromstring(render_line_chart("t", [ChartSeries(name, points), ChartSeries("b", points)], SMALL))
    names = [text.text or "" for text in chart.iter("{http://www.w3.org/2000/svg}text")]
    place = names.index("base=mini-habits")
    assert " ".join(names[place:]) == f"{name} 0.25 b b 0.25"
    heights = [float(text.attrib["y"]) for text in chart.iter("{http://www.w3.org/2000/svg}text")]
    assert max(heights) < float(chart.attrib["viewBox"].split()[3])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_the_page_without_scrolling_sideways(workspace: Workspace, width: int) -> None:
    name = "condition_" + "x" * 90
    cells = [add_run(workspace, one, 1, {0: [0.1], 10: [1.0, 0.1]}, "w" * 300) for one in ("none", name)]
    report(workspace, *cells)
    outer = workspace.path / "out/outer.html"
    outer.write_text(
        f"""<body><iframe id=page src=report.html style="border:0;width:{width}px;height:900px"></iframe><script>
        onload = () => {{
          const page = document.getElementById("page").contentDocument;
          const inside = [...page.querySelectorAll("p, li, h1, h2, h3, pre, svg, summary")]
            .filter(one => !one.closest(".wide"));
          const right = Math.max(...inside.map(one => one.getBoundingClientRect().right));
          document.title = [page.documentElement.scrollWidth, right, page.querySelectorAll("svg").length].join();
        }}</script>"""
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--no-first-run"]
    options += ["--disable-background-networking", f"--user-data-dir={workspace.path / 'profile'}"]
    dumped = subprocess.run(
        [str(CHROMIUM), *options, f"--window-size={max(width, 500)},900", "--dump-dom", outer.as_uri()],
        capture_output=True, timeout=120, check=True, text=True,
    ).stdout  # fmt: skip
    scroll, right, charts = (float(one) for one in re.findall(r"<title>(.*?)</title>", dumped)[0].split(","))
    assert scroll <= width
    assert 0 < right <= width
    assert charts >= 3
