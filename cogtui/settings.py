"""Every setting that is not part of a recipe: its value and where it comes from. `config.toml` is read here.

An option of a command comes before an environment variable, that before `config.toml`, and that before the default.
"""

import difflib
import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from cogtui.preferences import config_folder, read_preferences
from pipelines.errors import InvalidInput, MissingRequirement

CONFIG_FILE: Final = "config.toml"
NOTIFY_COMMAND: Final = "notify.command"
NOTIFY_EVENTS: Final = "notify.events"
NOTIFY_TERMINAL: Final = "notify.terminal"
NOTIFY_WEBHOOK: Final = "notify.webhook"
EVENTS: Final = ("end", "warning")
_TRUTHS: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}

SettingKind = Literal["text", "truth", "words", "events", "secret", "url"]
"""How a value is read and shown: `words` are a command with arguments; a `secret` is not shown, of a `url` the host."""
Origin = Literal["default", "file", "environment", "option"]
Value = str | bool | tuple[str, ...] | None


class Setting(NamedTuple):
    """A setting, and the places that can set it."""

    name: str
    meaning: str
    kind: SettingKind = "text"
    default: Value = None
    """None: not set."""
    variable: str = ""
    in_file: bool = False
    option: str = ""


SETTINGS: Final = (
    Setting("workspace", "the folder of stages and experiments", "text", "./cogtui-workspace", "COGTUI_WORKSPACE",
            option="--workspace"),
    Setting("config", "the folder of config.toml, views and what the app remembers", "text", None, "COGTUI_CONFIG"),
    Setting("cache", "a folder on a local disk for the index and the showcase", "text", None, "COGTUI_CACHE"),
    Setting("theme", "the theme of the app", "text", None, "COGTUI_THEME"),
    Setting("local.cpus", "cores for all local jobs; all by default", "text", None, "COGTUI_LOCAL_CPUS"),
    Setting("local.gpus", "GPUs for local jobs; all by default", "text", None, "COGTUI_LOCAL_GPUS"),
    Setting(NOTIFY_TERMINAL, "ring the bell of the terminal, and show a desktop notification (OSC 9)", "truth", True,
            in_file=True),
    Setting(NOTIFY_EVENTS, "when to notify: at the end, and on a warning", "events", EVENTS, in_file=True),
    Setting(NOTIFY_COMMAND, "a command to start, with what happened in its environment", "words", None,
            "COGTUI_NOTIFY_COMMAND", in_file=True, option="--notify-command"),
    Setting(NOTIFY_WEBHOOK, "an address to post JSON to", "url", None, "COGTUI_WEBHOOK", in_file=True,
            option="--webhook"),
    Setting("keys.openai", "key of the OpenAI API", "secret", None, "OPENAI_API_KEY"),
    Setting("keys.anthropic", "key of the Anthropic API", "secret", None, "ANTHROPIC_API_KEY"),
    Setting("hub.endpoint", "address of the Hugging Face hub", "url", None, "HF_ENDPOINT"),
    Setting("hub.token", "token of the Hugging Face hub", "secret", None, "HF_TOKEN"),
    Setting("hub.cache", "folder of downloaded files of the hub", "text", None, "HF_HUB_CACHE"),
)  # fmt: skip
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class SettingValue:
    """A setting with its value, and where the value comes from."""

    setting: Setting
    value: Value
    origin: Origin
    place: str = ""
    """The option, variable or file; empty for a default."""

    @property
    def shown(self) -> str:
        """The value as text: of a secret only that it is set, of an address only the host."""
        if self.value is None:
            return "not set"
        if self.setting.kind == "secret":
            return "set"
        if self.setting.kind == "url":
            return mask_url(str(self.value))
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, tuple):
            return shlex.join(self.value) if self.setting.kind == "words" else ", ".join(self.value)
        return self.value


def mask_url(url: str) -> str:
    """Return an address as scheme and host; user, password, path and query may be secrets."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname
    except ValueError:
        return "…"
    more = "/…" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{parts.scheme}://{host}{port}{more}" if parts.scheme and host else "…"


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of `config.toml`."""
    return config_folder(environment) / CONFIG_FILE


def resolve_settings(
    options: Mapping[str, str | bool] | None = None, environment: Mapping[str, str] = os.environ
) -> dict[str, SettingValue]:
    """Return every setting by name.

    Args:
        options: values given by options, by the name of the setting.
        environment: the environment variables.

    Raises:
        InvalidInput: an option, a variable or `config.toml` has a value that cannot be used.
        MissingRequirement: `config.toml` cannot be read.
    """
    path = config_path(environment)
    from_file = _read_file(path)
    found = {}
    for setting in SETTINGS:
        given = (options or {}).get(setting.name)
        stated = environment.get(setting.variable, "") if setting.variable else ""
        if given is not None:
            found[setting.name] = SettingValue(
                setting, _parse(setting, given, setting.option), "option", setting.option
            )
        elif stated:
            value = _parse(setting, stated, setting.variable)
            found[setting.name] = SettingValue(setting, value, "environment", setting.variable)
        elif setting.name in from_file:
            value = _parse(setting, from_file[setting.name], f"{path}: {setting.name}")
            found[setting.name] = SettingValue(setting, value, "file", str(path))
        else:
            found[setting.name] = SettingValue(setting, setting.default, "default")
    return _with_remembered(found, environment)


def _with_remembered(found: dict[str, SettingValue], environment: Mapping[str, str]) -> dict[str, SettingValue]:
    """Fill in the theme that the app remembers, and the folder that follows from others."""
    theme = found["theme"]
    remembered = read_preferences(environment).get("theme")
    if theme.origin == "default" and remembered:
        found["theme"] = SettingValue(theme.setting, remembered, "file", str(config_folder(environment) / "app.json"))
    if found["config"].origin == "default":
        found["config"] = SettingValue(found["config"].setting, str(config_folder(environment)), "default")
    return found


def _read_file(path: Path) -> dict[str, Any]:
    """Return the values of `config.toml` by the names of their settings; none if there is no file."""
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MissingRequirement(f"{path} cannot be read: {reason}", remedy="Fix the file or remove it.") from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path}: {error}", remedy="Fix the line or remove it.") from None
    known = [setting.name for setting in SETTINGS if setting.in_file]
    found = {}
    for table, values in tables.items():
        for name, value in values.items() if isinstance(values, dict) else [("", values)]:
            full = f"{table}.{name}".rstrip(".")
            if full not in known:
                near = difflib.get_close_matches(full, known, n=1)
                hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
                raise InvalidInput(f"{path}: there is no setting {full}", remedy=hint)
            found[full] = value
    return found


def _parse(setting: Setting, given: Any, place: str) -> Value:
    """Return a value as the setting has it.

    Raises:
        InvalidInput: it cannot be used; a value that may be a secret is not repeated.
    """
    if setting.kind == "truth":
        if isinstance(given, bool):
            return given
        if str(given).lower() in _TRUTHS:
            return _TRUTHS[str(given).lower()]
        raise InvalidInput(f"{place} is neither true nor false", remedy="Write true or false.")
    if setting.kind == "words":
        return _words(given, place)
    if setting.kind == "events":
        events = _words(given, place)
        wrong = [event for event in events or () if event not in EVENTS]
        if wrong:
            raise InvalidInput(f"{place}: there is no event {wrong[0]!r}", remedy=f"Events: {', '.join(EVENTS)}.")
        return events or ()
    if not isinstance(given, str):
        raise InvalidInput(f"{place} is not a text", remedy="Write it in quotes.")
    if setting.name == NOTIFY_WEBHOOK and given:
        _check_url(given, place)
    return given or None


def _words(given: Any, place: str) -> tuple[str, ...] | None:
    if isinstance(given, str):
        try:
            return tuple(shlex.split(given)) or None
        except ValueError as error:
            raise InvalidInput(f"{place}: {error}", remedy="Close the quotes.") from None
    if isinstance(given, Sequence) and all(isinstance(word, str) for word in given):
        return tuple(given) or None
    raise InvalidInput(f"{place} is neither a text nor a list of texts", remedy='Write it as ["command", "argument"].')


def _check_url(url: str, place: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() or not character.isprintable() for character in url):
        raise InvalidInput(f"{place} is no address to post to", remedy="Write it as https://HOST/PATH.")
