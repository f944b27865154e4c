"""The recorded frames: made smaller, they show the same; the animation shows each for its time."""

import re
from xml.etree import ElementTree

from benchmarks.walk import animate, shorten
from cogtui.app.experiments.screen import ExperimentsScreen
from tests.app.conftest import Builder
from tests.app.driving import press, running, top

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[tuple[str, str, str]]:
    """Every text with its place."""
    root = ElementTree.fromstring(svg)
    return [
        (str(float(one.attrib["x"])), str(float(one.attrib["y"])), one.text or "")
        for one in root.iter(f"{SVG}text")
        if "textLength" in one.attrib
    ]


def painted(svg: str) -> dict[tuple[float, int], str]:
    """The colour of each cell, by height and column."""
    root = ElementTree.fromstring(svg)
    found = {}
    for one in root.iter(f"{SVG}rect"):
        if one.attrib.get("height") == "24.65" and "fill" in one.attrib:
            start, width = float(one.attrib["x"]), float(one.attrib["width"])
            for column in range(round(start / 12.2), round((start + width) / 12.2)):
                found[float(one.attrib["y"]), column] = one.attrib["fill"]
    return found


async def test_a_short_frame_shows_the_same_and_an_animation_has_all(small: Builder) -> None:
    frames = []
    async with running(small.workspace, size=(100, 30)) as (app, pilot):
        top(app, ExperimentsScreen)
        for key in ("1", "2"):
            await press(pilot, key)
            frames.append(app.export_screenshot(title=key, simplify=True))
    for frame in frames:
        short = shorten(frame, "t-")
        assert len(short) < 0.6 * len(frame)
        assert texts(short) == texts(frame)
        assert painted(short) == painted(frame)
        assert len(painted(short)) == 3000
        assert "http" not in short.replace("http://www.w3.org/2000/svg", "")
    animation = animate(frames)
    root = ElementTree.fromstring(animation)
    shown = [one for one in root.iter(f"{SVG}g") if one.attrib.get("class") == "frame"]
    assert [one.attrib["style"] for one in shown] == ["animation-delay:0.0s", "animation-delay:2.2s"]
    assert "animation:show 4.4s step-end infinite" in animation
    assert "50.000%{visibility:hidden}" in animation
    classes = [set(re.findall(r"\.([ab]-r\d+)", "".join(one.itertext()))) for one in shown]
    assert classes[0]
    assert not classes[0] & classes[1], "styles of one frame do not reach into another"
