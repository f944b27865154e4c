"""What leaves the index: every value in every format, and a page on which hostile text is only text."""

import csv
import dataclasses
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogtui.analysis.curves import Curve, CurvePoint
from cogtui.analysis.figures import Figure, figure_csv
from cogtui.store import Query, RolloutDetail, Store
from cogtui.store.export.cells import safe_cell
from cogtui.store.export.html import write_html
from cogtui.store.export.selection import ExportSelection
from cogtui.store.export.tables import write_csv, write_jsonl, write_parquet
from cogtui.store.filter.parser import parse
from cogtui.store.values.types import BehaviorJudgement
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Span
from pipelines.text_safety import picture_controls

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """The elements and texts of a page, as a browser would take it apart."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.pres: list[str] = []
        self.marked: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "pre":
            self.pres.append("")
        if tag == "span":
            self.marked.append((str(dict(attrs).get("class")), ""))
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "pre" in self._open:
            self.pres[-1] += data
        if self._open and self._open[-1] == "span":
            self.marked[-1] = (self.marked[-1][0], self.marked[-1][1] + data)


def page_of(details: list[RolloutDetail], title: str = "Rollouts") -> str:
    stream = io.StringIO()
    write_html(details, [detail.row for detail in details], stream, title=title)
    return stream.getvalue()


def details_of(store: Store, text: str = "") -> list[RolloutDetail]:
    return list(ExportSelection(store, Query(parse(text))))


def test_a_selection_has_the_rows_of_the_list_up_to_its_limit(store: Store) -> None:
    ids = [row.id for row in store.page(Query(), limit=1000).rows]
    assert [one.row.id for one in ExportSelection(store, Query())] == ids
    assert [one.row.id for one in ExportSelection(store, Query(), 7)] == ids[:7]
    assert list(ExportSelection(store, Query(parse("step:999")))) == []


def test_json_lines_and_csv_say_the_same(store: Store) -> None:
    details = details_of(store, "condition:none")
    as_json, as_csv = io.StringIO(), io.StringIO(newline="")
    assert write_jsonl(details, as_json) == write_csv(details, as_csv) == len(details)
    objects = [json.loads(line) for line in as_json.getvalue().splitlines()]
    rows = list(csv.DictReader(io.StringIO(as_csv.getvalue(), newline="")))
    for value, row, detail in zip(objects, rows, details, strict=True):
        assert value["id"] == row["id"] == detail.row.id
        assert value["completion"] == row["completion"] == detail.completion
        assert value["spans"] == json.loads(row["spans"])
        for behavior, count in zip(BEHAVIORS, detail.row.counts, strict=True):
            assert value[behavior] == value["counts"][behavior] == count
            assert row[behavior] == ("" if count is None else str(count))
        for span in value["spans"]:
            assert value["completion"][span["start"] : span["end"]] == span["quote"]


def cells_of(details: list[RolloutDetail], *, raw: bool = False) -> list[dict[str, str]]:
    stream = io.StringIO(newline="")
    write_csv(details, stream, raw=raw)
    return list(csv.DictReader(io.StringIO(stream.getvalue(), newline="")))


@given(
    st.one_of(
        st.text(),
        st.builds("{}{}".format, st.sampled_from("=+-@\t\r\n＝"), st.text()),
        st.floats(allow_nan=False, allow_infinity=False).map(str),
        st.integers().map(str),
    )
)
def test_no_cell_is_a_formula_and_numbers_stay_numbers(text: str) -> None:
    cell = safe_cell(text)
    try:
        is_number = text.isascii() and text.strip() == text and "_" not in text and abs(float(text)) >= 0
    except ValueError:
        is_number = False
    assert "\x1b" not in cell
    if is_number and text[-1] in "0123456789.":
        assert cell == text
    else:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))
        assert cell.removeprefix("'") == picture_controls(text, "\n\r\t").removeprefix("'")
    assert safe_cell(-0.5) == -0.5


def test_a_formula_in_a_completion_is_text_unless_it_is_asked_for(store: Store) -> None:
    (first, *_) = details_of(store)
    hostile = [
        dataclasses.replace(first, completion='=HYPERLINK("http://x","y")'),
        dataclasses.replace(first, completion="- a list\x1b]0;title\x07"),
    ]
    assert [row["completion"] for row in cells_of(hostile)] == ['\'=HYPERLINK("http://x","y")', "'- a list␛]0;title␇"]
    assert [row["completion"] for row in cells_of(hostile, raw=True)] == [one.completion for one in hostile]
    assert cells_of(hostile)[0]["reward"] == cells_of(hostile, raw=True)[0]["reward"]


def test_every_csv_that_is_written_has_safe_cells() -> None:
    source = Path(__file__).parents[2] / "cogtui"
    writers = [
        path for path in source.rglob("*.py") if re.search(r"csv\.(?:Dict)?[wW]riter\(", path.read_text("utf-8"))
    ]
    assert len(writers) >= 2
    assert [path for path in writers if "safe_cell" not in path.read_text("utf-8")] == []
    curve = Curve("=1+1", "train", "reward", (CurvePoint(1, -0.5, None, None, 1, 4, 0),))
    assert figure_csv(Figure("@title", [curve])).splitlines()[1] == "'@title,'=1+1,1,-0.5,,,1,4"


def test_parquet_has_types_and_keeps_missing_values_missing(store: Store, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    details = details_of(store)
    path = tmp_path / "out.parquet"
    assert write_parquet(details, path) == len(details)
    for row, detail in zip(parquet.read_table(path).to_pylist(), details, strict=True):
        assert (row["id"], row["completion"], row["reward"]) == (detail.row.id, detail.completion, detail.row.reward)
        assert tuple(row[behavior] for behavior in BEHAVIORS) == detail.row.counts
        assert row["numbers"] == detail.row.problem["numbers"]


def test_the_page_shows_each_text_and_marks_each_span(store: Store) -> None:
    details = details_of(store, "has:judged step:10")
    page = Page(page_of(details))
    texts = page.pres[1::2]
    assert texts == [detail.completion for detail in details]
    marked = [mark for mark in page.marked if mark[0] in ("v", "b", "s", "c")]
    legend = {behavior.replace("_", " ") for behavior in BEHAVIORS}
    expected = [span.quote for detail in details for one in detail.judgements for span in one.spans]
    assert len(expected) > 20
    assert sorted(text for _, text in marked if text not in legend) == sorted(expected)


HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=5),
        st.sampled_from(["<script>alert(1)</script>", "</pre>", "</style>", "<!--", "-->", "&lt;", "\x00", "\x1b[31m",
                         "\u202e", "\u2028", "\ud800", "\r\n", "\t", "😀", '"', "'", "<img src=x onerror=a>"]),
    ),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=HOSTILE, places=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 30), st.integers(0, 3)), max_size=6))
def test_hostile_text_is_only_text(store: Store, text: str, places: list[tuple[int, int, int]]) -> None:
    detail = hostile(store, text, places)
    written = page_of([detail], title=text)
    written.encode()
    page = Page(written)
    shown = picture_controls(text, "\n\t")
    assert page.pres == [shown, shown]
    assert {tag for tag, _ in page.elements} <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "span", "div", "table", "thead", "tbody",
        "tr", "th", "td", "a", "article", "details", "summary", "pre", "i",
    }  # fmt: skip
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def hostile(store: Store, text: str, places: list[tuple[int, int, int]]) -> RolloutDetail:
    """A rollout whose every text is this one, with spans anywhere, overlapping as they like."""
    row = store.page(Query(parse("has:judged")), limit=1).rows[0]
    judgements = tuple(
        BehaviorJudgement(
            row.judge or "", BEHAVIORS[number], "ok", 1,
            (Span(start=start, end=start + length, quote=text, why=text, alignment="fuzzy"),), text, {}, stale=False,
        )
        for start, length, number in places
    )  # fmt: skip
    return RolloutDetail(row, text, text, text, {}, (), judgements, text, (), "")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_a_browser_shows_the_page_and_runs_nothing(store: Store, tmp_path: Path) -> None:
    attack = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"></pre><b>bold</b>"
    text = f"{attack} That gives 3."
    place = (len(attack) + 1, 13, 0)
    page = tmp_path / "page.html"
    page.write_text(page_of([hostile(store, text, [place])], title="Rollouts"), encoding="utf-8")
    image = tmp_path / "page.png"
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", *quiet]
    options.append(f"--user-data-dir={tmp_path / 'profile'}")
    shot = subprocess.run(
        [str(CHROMIUM), *options, f"--screenshot={image}", "--window-size=900,900", page.as_uri()],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    assert image.stat().st_size > 5000, shot.stderr
    dumped = subprocess.run(
        [str(CHROMIUM), *options, "--dump-dom", page.as_uri()], capture_output=True, timeout=120, check=True, text=True
    ).stdout
    seen = Page(dumped.partition("<!DOCTYPE html>")[2] or dumped)
    assert seen.pres[-1] == text
    assert ("v", "That gives 3.") in seen.marked
    assert not {"script", "img", "b"} & {tag for tag, _ in seen.elements}
    assert "<title>Rollouts</title>" in dumped
