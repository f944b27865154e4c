"""Notifications of a run: a webhook that refuses, redirects or hangs, a command, a terminal, and secrets."""

import json
import os
import pty
import shutil
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cogtui.cli.run.alerts.alerts import AlertingDisplay, RunAlerts
from cogtui.cli.run.alerts.channels import notify_terminal, post_webhook, run_command
from cogtui.cli.run.alerts.message import AlertMessage
from cogtui.cli.run.display.base import NoDisplay
from cogtui.settings import resolve_settings
from jobs.planning.types import StageInstance
from jobs.state.types import StageState, StateName
from pipelines.errors import InvalidInput
from tests.cli.run.test_run_command import LOCAL, cogtui

SECRET = "T0KEN-of-the-hook"
MESSAGE = AlertMessage("failed", "mini; rm -rf $HOME", "/ws", "mini: 1 of 2 stages is not done", ("ppo failed",), 1, 2)


class Hook(ThreadingHTTPServer):
    """Answers posts with a list of statuses, the last one again and again; `hang` never answers."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *answers: int | str) -> None:
        self.answers = [*answers]
        self.bodies: list[dict[str, Any]] = []
        self.logins: list[str | None] = []
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), HookHandler)

    @property
    def url(self) -> str:
        return f"http://user:{SECRET}@127.0.0.1:{self.server_port}/{SECRET}?key={SECRET}"


class HookHandler(BaseHTTPRequestHandler):
    server: Hook

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Stays quiet."""

    def do_POST(self) -> None:
        self.server.logins.append(self.headers["authorization"])
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        answer = self.server.answers[0] if len(self.server.answers) == 1 else self.server.answers.pop(0)
        if isinstance(answer, str):
            self.server.ended.wait(30)
            return
        self.send_response(answer)
        if answer == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()


@pytest.fixture
def hook() -> Iterator[Callable[..., Hook]]:
    servers: list[Hook] = []

    def start(*answers: int | str) -> Hook:
        server = Hook(*answers)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.ended.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGTUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr("cogtui.cli.run.alerts.channels._REQUEST_S", 0.3)
    monkeypatch.setattr("cogtui.cli.run.alerts.channels._RETRY_S", 0.01)


@pytest.mark.parametrize(
    ("answers", "posts", "problem"),
    [
        ((200,), 1, None),
        ((204,), 1, None),
        ((500, 503, 200), 3, None),
        ((500,), 3, "answers 500"),
        ((429, 200), 2, None),
        ((404,), 1, "answers 404"),
        ((302,), 1, "answers 302, a redirect, which is not followed"),
        (("hang",), 3, "does not answer within"),
    ],
)
def test_a_webhook_is_repeated_where_that_can_help(
    hook: Callable[..., Hook], answers: tuple[int | str, ...], posts: int, problem: str | None
) -> None:
    server = hook(*answers)
    said = post_webhook(server.url, MESSAGE, time.monotonic() + 10)
    assert len(server.bodies) == posts
    assert server.bodies[0]["event"] == "failed"
    assert server.bodies[0]["text"] == MESSAGE.text
    assert server.logins[0] == f"Basic {b64encode(f'user:{SECRET}'.encode()).decode()}"
    if problem is None:
        assert said is None
    else:
        assert problem in str(said)
        assert SECRET not in str(said)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://[::1]:1/", "http://nowhere.invalid/" + SECRET])
def test_a_server_that_is_not_there_is_a_problem_in_words(url: str) -> None:
    said = post_webhook(url, MESSAGE, time.monotonic())
    assert said is not None
    assert "cannot be reached" in said
    assert SECRET not in said


def test_waiting_for_a_server_that_hangs_is_bounded(
    hook: Callable[..., Hook], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cogtui.cli.run.alerts.channels._REQUEST_S", 30.0)
    alerts = RunAlerts(resolve_settings({"notify.webhook": hook("hang").url}))
    began = time.monotonic()
    alerts.end(MESSAGE)
    assert time.monotonic() - began < 1  # the end of the run does not wait
    alerts.wait(0.5)
    assert 0.4 < time.monotonic() - began < 5
    assert "1 message not delivered after 0 s" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_keeps_its_output_and_exit_code_whatever_the_webhook_does(
    hook: Callable[..., Hook], tmp_path: Path
) -> None:
    (tmp_path / "light.toml").write_text(LOCAL)
    server = hook(500)
    program = "from cogtui.cli.main import run; run()"
    arguments = ["run", "light.toml", "--only", "problems", "--json", "--webhook", server.url]
    environment = {name: value for name, value in os.environ.items() if name != "COGTUI_WORKSPACE"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["data"]["stages"][0]["state"] == "done"
    assert [body["event"] for body in server.bodies] == ["finished"] * 3
    assert f"warning: notification: http://127.0.0.1:{server.server_port}/… answers 500" in done.stderr
    assert SECRET not in done.stderr + done.stdout
    again = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (again.returncode, len(server.bodies)) == (0, 3)  # nothing was started, so nobody is told


def test_a_command_gets_what_happened_in_its_environment_and_no_shell(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    program = (
        "import json, os, sys\n"
        "found = {k: v for k, v in os.environ.items() if k.startswith('COGTUI_')}\n"
        f"json.dump([sys.argv[1:], found], open({str(out)!r}, 'w'))"
    )
    assert run_command([sys.executable, "-c", program, "$HOME", "a b"], MESSAGE) is None
    arguments, found = json.loads(out.read_text())
    assert arguments == ["$HOME", "a b"]
    assert found["COGTUI_EVENT"] == "failed"
    assert found["COGTUI_EXPERIMENT"] == "mini; rm -rf $HOME"
    assert (found["COGTUI_DONE"], found["COGTUI_STAGES"], found["COGTUI_LINES"]) == ("1", "2", "ppo failed")


def test_a_command_that_fails_is_a_problem_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run_command([sys.executable, "-c", "import sys; print('no \\x1b[2J bus'); sys.exit(3)"], MESSAGE)
    assert said == f"{sys.executable} exited with 3: no ␛[2J bus"
    assert "cannot be started" in str(run_command(["/nowhere/notify"], MESSAGE))
    monkeypatch.setattr("cogtui.cli.run.alerts.channels._COMMAND_S", 0.2)
    assert "is not waited for" in str(run_command([sys.executable, "-c", "import time; time.sleep(1)"], MESSAGE))


def test_a_command_that_does_not_exist_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidInput, match="--notify-command: there is no command 'nofity-send'"):
        RunAlerts(resolve_settings({"notify.command": "nofity-send x"}))
    monkeypatch.setenv("COGTUI_NOTIFY_COMMAND", "nofity-send x")
    RunAlerts(resolve_settings()).end(MESSAGE)  # a setting of a person must not stop everybody's runs
    assert "COGTUI_NOTIFY_COMMAND: there is no command" in capsys.readouterr().err
    (tmp_path / "light.toml").write_text(LOCAL)
    done = cogtui(tmp_path, "light.toml", "--webhook", f"ftp://{SECRET}")
    assert (done.returncode, SECRET in done.stderr) == (2, False)
    assert not (tmp_path / "cogtui-workspace").exists()


def test_bell_and_notification_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not notify_terminal(MESSAGE)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert notify_terminal(MESSAGE, {"TERM": "xterm"})
        assert not notify_terminal(MESSAGE, {"TERM": "dumb"})
        stream.flush()
        assert os.read(ours, 4096) == b"\x1b]9;cogtui: mini: 1 of 2 stages is not done\x07\x07"
    os.close(ours)


class Collected(RunAlerts):
    """Collects messages instead of delivering them."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(resolve_settings({}, {"COGTUI_CONFIG": os.devnull}), now)
        self.sent: list[AlertMessage] = []

    def _send(self, message: AlertMessage) -> None:
        self.sent.append(message)


def test_warnings_are_sent_once_together_and_at_most_one_a_minute() -> None:
    clock = [0.0]
    alerts = Collected(lambda: clock[0])

    def describe(lines: Sequence[str]) -> AlertMessage:
        return AlertMessage("warning", "mini", "/ws", "; ".join(lines))

    display = AlertingDisplay(NoDisplay(), alerts, describe, lambda key: ["kl_explosion: KL is 9"] * (key == "b"))
    stages = [StageInstance(key, "ppo", key, {}, {}) for key in "abcd"]

    def states(**names: StateName) -> dict[str, StageState]:
        return {
            key: StageState(key, "ppo", key, {}, name, "none", None, reason="OOM", active=name == "running")
            for key, name in names.items()
        }

    display.start(stages, states(a="failed", b="running", c="running", d="running"))
    display.update(states(a="failed", b="running", c="running", d="running"))
    assert alerts.sent == []  # it had failed before
    display.update(states(a="failed", b="done", c="failed", d="running"))
    assert [message.text for message in alerts.sent] == ["b: kl_explosion: KL is 9; c failed: OOM"]
    display.start(stages, states(a="failed", b="done", c="running", d="running"))
    display.update(states(a="failed", b="done", c="timeout", d="running"))
    assert len(alerts.sent) == 1
    clock[0] = 61.0
    display.update(states(a="failed", b="done", c="timeout", d="running"))
    assert [message.text for message in alerts.sent[1:]] == ["c timeout: OOM"]
    clock[0] = 200.0
    display.update(states(a="failed", b="done", c="timeout", d="failed"))
    assert len(alerts.sent) == 2  # the message about the end follows


def test_notify_send_of_the_docs_is_no_shell_line() -> None:
    assert shutil.which("sh")
    settings = resolve_settings({"notify.command": "notify-send 'cogtui run'"})
    assert settings["notify.command"].value == ("notify-send", "cogtui run")
