"""Prints the settings with their origins."""

from dataclasses import replace

from cogtui.cli.console.output import emit_json, emit_table, narrate
from cogtui.settings import SettingValue, config_path, resolve_settings
from jobs.workspace import Workspace


def show_settings(workspace: Workspace, *, given: bool, as_json: bool) -> None:
    """Print every setting with its value and where it comes from; secrets are masked.

    Args:
        workspace: the one in use.
        given: whether an option named it.
        as_json: print the envelope.

    Raises:
        InvalidInput: a variable or `config.toml` has a value that cannot be used.
    """
    found = resolve_settings({"workspace": str(workspace.path)} if given else {})
    found["workspace"] = replace(found["workspace"], value=str(workspace.path))
    path = config_path()
    if as_json:
        emit_json({"file": str(path), "exists": path.is_file(), "settings": [_data(one) for one in found.values()]})
        return
    rows = [("SETTING", "VALUE", "ORIGIN")]
    rows += [(one.setting.name, one.shown, f"{one.origin} {one.place}".rstrip()) for one in found.values()]
    emit_table(rows, layout="stack")
    narrate(f"file: {path}{'' if path.is_file() else ' (there is none)'}")


def _data(one: SettingValue) -> dict[str, str | bool | None]:
    setting = one.setting
    return {
        "name": setting.name,
        "meaning": setting.meaning,
        "value": one.shown if one.value is not None else None,
        "secret": setting.kind in ("secret", "url"),
        "origin": one.origin,
        "place": one.place or None,
        "variable": setting.variable or None,
        "in_file": setting.in_file,
        "option": setting.option or None,
    }
