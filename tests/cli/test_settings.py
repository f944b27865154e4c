"""Settings: which place wins, what is shown of secrets, and a broken `config.toml`."""

import contextlib
import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogtui.settings import SETTINGS, config_path, mask_url, resolve_settings
from pipelines.errors import CogtuiError, InvalidInput, MissingRequirement
from tests.commands import cogtui_here

SOURCES = Path(__file__).parents[2]
INTERNAL = {"COGTUI_AGENT_CUDA_VISIBLE_DEVICES", "COGTUI_ATTEMPT", "COGTUI_SETTINGS", "COGTUI_SHARD"}
"""Variables that the agent and the worker set for the processes they start."""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"COGTUI_CONFIG": str(tmp_path)}


def write(home: dict[str, str], text: str) -> None:
    config_path(home).write_text(text)


def test_an_option_wins_over_a_variable_over_the_file_over_the_default(home: dict[str, str]) -> None:
    name = "notify.webhook"
    assert (resolve_settings({}, home)[name].origin, resolve_settings({}, home)[name].shown) == ("default", "not set")
    write(home, '[notify]\nwebhook = "https://file.example/a"\nevents = ["end"]\nterminal = false\n')
    found = resolve_settings({}, home)
    assert (found[name].origin, found[name].shown) == ("file", "https://file.example/…")
    assert found[name].place == str(config_path(home))
    assert (found["notify.events"].value, found["notify.terminal"].value) == (("end",), False)
    both = home | {"COGTUI_WEBHOOK": "https://variable.example/b"}
    assert (resolve_settings({}, both)[name].origin, resolve_settings({}, both)[name].place) == (
        "environment",
        "COGTUI_WEBHOOK",
    )
    chosen = resolve_settings({name: "https://option.example/c"}, both)[name]
    assert (chosen.origin, chosen.place, chosen.value) == ("option", "--webhook", "https://option.example/c")
    assert resolve_settings({name: ""}, both)[name].value is None  # an empty option switches it off


def test_a_command_is_a_text_or_a_list(home: dict[str, str]) -> None:
    for text in ("\"say 'a b'\"", '["say", "a b"]'):
        write(home, f"[notify]\ncommand = {text}\n")
        assert resolve_settings({}, home)["notify.command"].value == ("say", "a b")
        assert resolve_settings({}, home)["notify.command"].shown == "say 'a b'"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[notify]\nwebhok = 'x'", "there is no setting notify.webhok\nDid you mean notify.webhook?"),
        ("theme = 'x'", "there is no setting theme"),
        ("[notify", "config.toml: "),
        ("[notify]\nevents = ['ends']", "there is no event 'ends'"),
        ("[notify]\nterminal = 'perhaps'", "is neither true nor false"),
        ("[notify]\ncommand = 7", "neither a text nor a list"),
        ('[notify]\ncommand = "say \'a"', "No closing quotation"),
        ("[notify]\nwebhook = 'file:///etc/passwd'", "is no address to post to"),
        ("[notify]\nwebhook = 'https://:80/'", "is no address to post to"),
    ],
)
def test_a_wrong_file_is_said_to_be_wrong(home: dict[str, str], text: str, says: str) -> None:
    write(home, text)
    with pytest.raises(InvalidInput) as caught:
        resolve_settings({}, home)
    assert says in str(caught.value)
    assert str(config_path(home)) in caught.value.summary


def test_a_file_that_cannot_be_read_is_no_default(home: dict[str, str]) -> None:
    config_path(home).write_bytes(b"\xff")
    with pytest.raises(MissingRequirement, match="not UTF-8"):
        resolve_settings({}, home)


@given(st.text())
def test_any_file_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = {"COGTUI_CONFIG": folder}
        config_path(home).write_text(text, encoding="utf-8", errors="replace")
        with contextlib.suppress(CogtuiError):
            resolve_settings({}, home)


@given(secret=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/@:?#[]%"), min_size=9))
def test_of_an_address_only_the_host_is_shown(secret: str) -> None:
    for url in (f"https://u:{secret}@h.example/x", f"https://h.example/{secret}", f"https://h.example:8/?k={secret}"):
        assert secret not in mask_url(url)
        assert mask_url(url).startswith("https://h.example")
    assert mask_url(f"https://h.example:{secret}x/") == "…"


def test_every_variable_of_ours_is_a_setting() -> None:
    used = {
        name
        for package in ("cogtui", "jobs", "pipelines")
        for path in (SOURCES / package).rglob("*.py")
        for name in re.findall(r"\bCOGTUI_[A-Z_]+", path.read_text("utf-8"))
    }
    messages = {f"COGTUI_{name}" for name in ("EVENT", "EXPERIMENT", "TEXT", "LINES", "DONE", "STAGES")}
    assert used - INTERNAL - messages == {one.variable for one in SETTINGS if one.variable.startswith("COGTUI_")}


def test_config_show_masks_secrets_and_names_origins(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**home, "OPENAI_API_KEY": "sk-hidden", "COGTUI_WEBHOOK": "https://h.example/hidden"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    write(home, "[notify]\nterminal = false\n")
    done = cogtui_here("-w", "here", "config", "show")
    listed = done.stdout.replace(str(Path.cwd()), "FOLDER")  # whose path may have spaces
    rows = {line.split()[0]: line.split()[1:] for line in listed.splitlines()}
    assert rows["workspace"] == ["FOLDER/here", "option", "--workspace"]
    assert rows["keys.openai"] == ["set", "environment", "OPENAI_API_KEY"]
    assert rows["notify.webhook"] == ["https://h.example/…", "environment", "COGTUI_WEBHOOK"]
    assert rows["notify.terminal"] == ["false", "file", str(config_path(home))]
    assert rows["notify.events"] == ["end,", "warning", "default"]
    as_json = cogtui_here("config", "show", "--json")
    assert "hidden" not in done.stdout + done.stderr + as_json.stdout
    shown = {one["name"]: one for one in json.loads(as_json.stdout)["data"]["settings"]}
    assert (shown["hub.token"]["value"], shown["notify.webhook"]["origin"]) == (None, "environment")
    write(home, "[notify]\nnope = 1\n")
    assert cogtui_here("config", "show").returncode == 2
