"""Settings that the app remembers from one start to the next, and the theme they choose; read before it paints."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jobs.user import home_folder

FILE: Final = "app.json"
_OWN_THEMES: Final = ("light", "dark", "contrast", "colour-blind")


def config_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of a person's settings: `COGTUI_CONFIG`, `XDG_CONFIG_HOME/cogtui`, or `~/.config/cogtui`."""
    own = environment.get("COGTUI_CONFIG", "")
    base = environment.get("XDG_CONFIG_HOME", "")
    if own or base:
        return Path(own) if own else Path(base) / "cogtui"
    home = home_folder()
    # without a home nothing is remembered: the file can neither be read nor written
    return Path(os.devnull) / "cogtui" if home is None else home / ".config" / "cogtui"


def read_preferences(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Read what was remembered; empty where there is no file or it cannot be read, since nothing depends on it."""
    try:
        found = json.loads((config_folder(environment) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return (
        {str(key): value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
    )


def remember(name: str, value: str, environment: Mapping[str, str] = os.environ) -> None:
    """Remember a value.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = config_folder(environment)
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{FILE}.{os.getpid()}.tmp"
    aside.write_text(json.dumps({**read_preferences(environment), name: value}, indent=1) + "\n", encoding="utf-8")
    aside.replace(folder / FILE)


def default_theme(environment: Mapping[str, str] = os.environ, remembered: str = "") -> str:
    """Return the initial theme: COGTUI_THEME, else the one chosen last, else light if COLORFGBG says so, else dark."""
    wanted = environment.get("COGTUI_THEME", "")
    if wanted in _OWN_THEMES:
        return f"cogtui-{wanted}"
    if wanted or remembered:
        return wanted or remembered
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return "cogtui-light" if background in ("7", "15") else "cogtui-dark"
