"""Whatever an experiment's texts are, the report shows them as text."""

from html.parser import HTMLParser
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from cogtui.analysis.chart import SMALL, ChartSeries, render_line_chart
from cogtui.analysis.claims import Claim
from cogtui.analysis.comparisons import ClaimComparison
from cogtui.analysis.intervals import MeanEstimate
from cogtui.analysis.report.content import CurveChart, ReportContent
from cogtui.analysis.report.markdown import render_markdown
from cogtui.analysis.report.page import render_html
from cogtui.analysis.report.samples import SampleTraces
from cogtui.analysis.tables import TextTable
from pipelines.text_safety import picture_controls

texts = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "</style><b>",
            "```\n# x",
            "a | b",
            "\x1b]52;c;x\x07",
            "‮evil",
            "\ud800",
            "&lt;",
            "--",
        ]
    ),
)
TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "ul", "li", "section", "div", "b", "br",
    "code", "table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "svg", "text", "line", "polyline",
    "circle", "polygon", "pre", "details", "summary", "span",
}  # fmt: skip


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def content(text: str) -> ReportContent:
    """A report in which every text is the same."""
    mean = MeanEstimate(0.5, None, 1)
    table = TextTable(text, ("", text), ((text, text), (text * 20, "–")))
    many = (text, text)
    return ReportContent(
        name=text, question=text, about=many, stated_claims=many, answer=many, setup=(table,),
        claims=(Claim("name", text, (ClaimComparison(text, mean, "undecided"),)),), claim_notes=many, tables=(table,),
        table_notes=many, left_out=many, figures=(CurveChart(text, (ChartSeries(text, [(0, mean), (5, mean)]),)),),
        figure_note=text, samples=SampleTraces((), text), agreement=many, agreement_tables=(table,), provenance=many,
        stages=table, commands=many, reproduce_notes=many, recipe=text,
    )  # fmt: skip


@given(texts)
def test_every_text_is_shown_as_text(text: str) -> None:
    html = render_html(content(text))
    page = Page(html)
    assert page.tags <= TAGS
    shown = picture_controls(text, "\n\t")
    assert any(shown.strip() in found for found in page.texts)
    assert not [char for char in html if ord(char) < 32 and char not in "\n\t"]
    assert html.count("<style>") == html.count("</style>") == 1


@given(texts)
def test_a_fenced_recipe_ends_where_its_fence_does(text: str) -> None:
    lines = render_markdown(content(text)).split("\n")
    start = max(place for place, line in enumerate(lines) if line == "## Recipe") + 2
    fence = lines[start].removesuffix("toml")
    assert set(fence) == {"`"}
    assert next(place for place, line in enumerate(lines) if place > start and line == fence) == len(lines) - 2


@given(texts, texts)
def test_a_chart_is_valid_xml_whatever_its_names(title: str, name: str) -> None:
    points = [(0, MeanEstimate(0.1, 0.05, 3)), (10, MeanEstimate(0.4, None, 1))]
    shown = [picture_controls(one) for one in (title, name)]
    drawn = render_line_chart(shown[0], [ChartSeries(shown[1], points), ChartSeries("b", [])], SMALL)
    ElementTree.fromstring(drawn.encode("utf-8", "backslashreplace"))
