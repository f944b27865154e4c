"""The style sheet of the HTML export. Each behaviour has a colour, a letter and a line style."""

from typing import Final

from cogtui.palette import DARK, LIGHT, SERIES, Palette
from pipelines.behaviors.sets.definition import BehaviorDefinition, ThemeKind
from pipelines.behaviors.sets.four_habits import FOUR_HABITS


def _variables(palette: Palette, kind: ThemeKind) -> str:
    """Return the CSS variables of a colour scheme: those of the app's theme."""
    found = {"ink": palette.text, "paper": palette.background, "soft": palette.muted, "line": palette.border}
    for behavior in FOUR_HABITS.behaviors:
        colors = behavior.colors[kind]
        found |= {behavior.letter.lower(): colors.ink, f"{behavior.letter.lower()}-bg": colors.background}
    found |= {f"series-{slot}": one.of(kind) for slot, one in enumerate(SERIES)}
    return " ".join(f"--{name}: {color};" for name, color in found.items())


def light_variables() -> str:
    """Return the CSS variables of the light scheme, for paper."""
    return _variables(LIGHT, "light")


STYLE: Final = (
    f"""
:root {{ color-scheme: light dark; {_variables(LIGHT, "light")} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK, "dark")} }} }}
"""
    """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; }
h2 { font-size: 1rem; margin: 0 0 .4rem; font-family: ui-monospace, monospace; }
.soft { color: var(--soft); }
code, pre, table { font-family: ui-monospace, monospace; font-size: .88rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; line-height: 1.65; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .15rem .7rem .15rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n { text-align: right; }
article { border-top: 2px solid var(--line); margin-top: 1.8rem; padding-top: 1rem; }
a { color: inherit; }
.v { background: var(--v-bg); }
.b { border-bottom: 3px solid var(--b); }
.s { border-top: 2px solid var(--s); }
.c { text-decoration: underline wavy 1.5px var(--c); text-underline-offset: 4px; }
.sv::before, .sb::before, .ss::before, .sc::before, .letter { font-weight: 700; font-size: .75em; padding: 0 .15em; }
.sv::before { content: "V"; color: var(--v); } .sb::before { content: "B"; color: var(--b); }
.ss::before { content: "S"; color: var(--s); } .sc::before { content: "C"; color: var(--c); }
.letter.lv { color: var(--v); } .letter.lb { color: var(--b); }
.letter.ls { color: var(--s); } .letter.lc { color: var(--c); }
.legend span { margin-right: 1.2rem; }
"""
)


def behavior_style(behavior: BehaviorDefinition, name: str) -> str:
    """Return the CSS of a behaviour of another set than the four habits: its colours behind the text, its letter.

    Args:
        behavior: with its colours.
        name: of its CSS class.
    """
    light, dark = behavior.colors["light"], behavior.colors["dark"]
    return f""".{name} {{ background: {light.background}; }}
.s{name}::before {{ content: "{behavior.letter}"; color: {light.ink}; font-weight: 700; font-size: .75em; }}
.letter.l{name} {{ color: {light.ink}; }}
@media (prefers-color-scheme: dark) {{ .{name} {{ background: {dark.background}; }}
  .s{name}::before, .letter.l{name} {{ color: {dark.ink}; }} }}
"""
