"""What the app sends to terminals of 256, 16 or no colours: a line filter with the palette chosen by hand.

Textual hands styles of 16 million colours to rich, which takes the nearest of 256 by hue, so that a dark blue-grey
becomes navy. Colours of the palette are looked up here instead; others (themes of Textual's own, shades of its widgets)
go to the nearest by perceived difference (OKLab).
"""

from functools import cache, lru_cache
from typing import Final, Literal, NamedTuple, cast

from rich.color import Color as RichColor
from rich.color_triplet import ColorTriplet
from rich.palette import Palette as RichPalette
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

from cogtui.palette import BACKGROUNDS, DARK, INKS, LIGHT, OWN, QUIET

Depth = Literal[256, 16, 1]
"""Number of colours; 1 for NO_COLOR, where attributes stand for what must be seen."""
_DEFAULT: Final = RichColor.default()
_DARK_LIGHTNESS: Final = 0.45
"""OKLab lightness below which an unknown background of 16 colours becomes the terminal's own."""
_GREY_CHROMA: Final = 0.04
_HUES: Final = ("red", "green", "yellow", "blue", "magenta", "cyan")
_HUE_TRIPLETS: Final = ((205, 49, 49), (13, 188, 121), (229, 190, 16), (36, 114, 200), (188, 63, 188), (17, 168, 205))


class OkLab(NamedTuple):
    """A colour in a space in which distances are perceived differences."""

    lightness: float
    green_red: float
    blue_yellow: float

    def distance(self, other: "OkLab") -> float:
        """Return the squared distance to another colour."""
        return sum((mine - theirs) ** 2 for mine, theirs in zip(self, other, strict=True))

    @property
    def chroma(self) -> float:
        """The distance from grey."""
        return float((self.green_red**2 + self.blue_yellow**2) ** 0.5)


def to_oklab(red: int, green: int, blue: int) -> OkLab:
    """Convert 8-bit sRGB to OKLab. Source: B. Ottosson, "A perceptual color space for image processing", 2020."""
    r, g, b = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (red / 255, green / 255, blue / 255)
    )
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    middle = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return OkLab(
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


@cache
def _of_256() -> tuple[tuple[int, OkLab], ...]:
    from rich._palettes import EIGHT_BIT_PALETTE  # the first sixteen differ from terminal to terminal

    palette: RichPalette = EIGHT_BIT_PALETTE
    return tuple((number, to_oklab(*palette[number])) for number in range(16, 256))


@lru_cache(1024)
def nearest_of_256(triplet: ColorTriplet) -> int:
    """Return the number of the nearest of the 240 colours that every terminal of 256 has alike."""
    wanted = to_oklab(*triplet)
    return min(_of_256(), key=lambda one: one[1].distance(wanted))[0]


@lru_cache(1024)
def nearest_of_16(triplet: ColorTriplet) -> RichColor:
    """Return one of the 16 colours for text: by hue, or for greys the terminal's own or bright black."""
    wanted = to_oklab(*triplet)
    if wanted.chroma < _GREY_CHROMA:
        return RichColor.parse("bright_black") if 0.4 < wanted.lightness < 0.7 else _DEFAULT
    hues = [(name, to_oklab(*values)) for name, values in zip(_HUES, _HUE_TRIPLETS, strict=True)]
    level = [(name, OkLab(wanted.lightness, one.green_red, one.blue_yellow)) for name, one in hues]
    return RichColor.parse(min(level, key=lambda one: one[1].distance(wanted))[0])


@lru_cache(2048)
def limit_style(style: Style, depth: Depth) -> Style:
    """Return a style with the colours of a terminal of so many."""
    ink, behind = style.color, style.bgcolor
    attributes = ""
    if depth == 1:
        return _without_color(style)
    if behind is not None and behind.triplet is not None:
        behind, attributes = _background(behind.triplet, depth)
    if ink is not None and ink.triplet is not None:
        ink = _text_on(style, depth) or _ink(ink.triplet, depth)
    if attributes == "reverse":
        ink = _DEFAULT  # in reverse every colour of text would become a patch of background
    limited = style + Style(color=ink, bgcolor=behind)
    if depth == 16 and ink is not None and ink.name == "black":
        limited += Style(bold=False)  # bold black is drawn as grey by many terminals
    return limited + Style.parse(attributes) if attributes else limited


def _without_color(style: Style) -> Style:
    names = []
    if style.bgcolor is not None and style.bgcolor.triplet is not None:
        known = BACKGROUNDS.get(style.bgcolor.triplet.hex)
        if known is None:
            names.append("reverse" if _is_bright_patch(style.bgcolor.triplet) else "")
        else:
            names.append("reverse" if known.of_16 != OWN else known.attributes)
    if style.color is not None and style.color.triplet is not None and not style.bold and "reverse" not in names:
        names.append("dim" if style.color.triplet.hex in QUIET else "")
    plain = style + Style(color=_DEFAULT, bgcolor=_DEFAULT)
    return plain + Style.parse(" ".join(filter(None, names)))


def _is_bright_patch(triplet: ColorTriplet) -> bool:
    colour = to_oklab(*triplet)
    return colour.lightness >= _DARK_LIGHTNESS and colour.chroma >= _GREY_CHROMA


def _text_on(style: Style, depth: Depth) -> RichColor | None:
    """Return the colour of plain text on a background that asks for one."""
    if depth != 256 or style.bgcolor is None or style.bgcolor.triplet is None or style.color is None:
        return None
    known = BACKGROUNDS.get(style.bgcolor.triplet.hex)
    plain = style.color.triplet is not None and style.color.triplet.hex in (DARK.text, LIGHT.text)
    number = known.text_of_256 if known is not None and plain else None
    return None if number is None else RichColor.from_ansi(number)


def _ink(triplet: ColorTriplet, depth: Depth) -> RichColor:
    known = INKS.get(triplet.hex)
    if depth == 256:
        number = nearest_of_256(triplet) if known is None else known.of_256
        return _DEFAULT if isinstance(number, str) else RichColor.from_ansi(number)
    if known is None:
        return nearest_of_16(triplet)
    return _DEFAULT if known.of_16 == OWN else RichColor.parse(known.of_16)


def _background(triplet: ColorTriplet, depth: Depth) -> tuple[RichColor, str]:
    known = BACKGROUNDS.get(triplet.hex)
    if depth == 256:
        number = nearest_of_256(triplet) if known is None else known.of_256
        return (_DEFAULT if isinstance(number, str) else RichColor.from_ansi(number)), ""
    if known is not None:
        return (_DEFAULT if known.of_16 == OWN else RichColor.parse(known.of_16)), known.attributes
    return (nearest_of_16(triplet) if _is_bright_patch(triplet) else _DEFAULT), ""


class PaletteFilter(LineFilter):
    """Puts lines into the colours of a terminal.

    Args:
        depth: how many colours it has.
    """

    def __init__(self, depth: Depth) -> None:
        super().__init__()
        self.depth = depth

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        depth = self.depth
        return [
            Segment(text, None if style is None else limit_style(style, depth), control)
            for text, style, control in segments
        ]


def color_depth(color_system: str | None, *, no_color: bool) -> Depth | None:
    """Return the number of colours of rich's name for a terminal; None where nothing need be limited."""
    if no_color:
        return 1
    return cast("Depth | None", {"256": 256, "standard": 16}.get(color_system or ""))
