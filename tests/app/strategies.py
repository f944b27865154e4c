"""Hypothesis strategies for text that tries to break a screen."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import LabelledSpan

NASTY = (
    "[/]", "[/b]", "[INFO]", "[@click=app.bell]x[/]", "A[0]=[INFO] x", "[red", "]", "\\[", "$text", "{x}",
    "\x1b[31mred\x1b[0m", "\x1b]52;c;aGk=\x07", "\x1b]8;;http://x\x07y\x1b]8;;\x07", "\x9b2J", "\x00", "\x07", "\r",
    "\r\n", "\n", "\t", "\x0b", "\x0c", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\u200b", "\u200d", "\ufe0f",
    "\ud800", "\udfff", "❤\ufe0f", "👩\u200d👧", "e\u0301", "漢字", "a" * 300, " " * 90, "\u0300" * 40, "\U000e0041",
    "🇩🇪",
)  # fmt: skip

patient = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
"""Making such text takes longer than the health check likes where other work has the processor."""

hostile_text = st.lists(
    st.one_of(
        st.sampled_from(NASTY),
        st.text(alphabet=st.characters(), max_size=20),
        st.sampled_from(("Let me check: ", "3 + 4 = 7. ", "that is not 12. ", "word ")),
    ),
    max_size=12,
).map("".join)


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, list[LabelledSpan]]:
    """A hostile text and spans into it, overlapping at will."""
    text = draw(hostile_text)
    spans = []
    for _ in range(draw(st.integers(0, 6)) if text else 0):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        behavior = draw(st.sampled_from(BEHAVIORS))
        spans.append(LabelledSpan(behavior=behavior, start=start, end=end, quote=text[start:end]))
    return text, spans
