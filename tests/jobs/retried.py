"""What a retry with `--set` must do on every cluster."""

import json

from pipelines.files import read_json
from tests.jobs.lab import Lab, cogtui


def check_retry_takes_settings(lab: Lab) -> None:
    """A failed stage is started again with a changed setting and resource; the next retry keeps both."""
    lab.stage("bad", do="exit 7", words="planned")
    lab.submit()
    lab.wait("bad", "failed")
    planned = (lab.folder("bad") / "stage.json").read_bytes()
    changes = ("--set", "words=second", "--set", "resources.cpus=2")
    done = cogtui(lab, "retry", lab.key("bad"), *changes)
    assert done.returncode == 0, done
    lab.wait("bad", "failed")
    assert cogtui(lab, "retry", lab.key("bad")).returncode == 0
    last = lab.wait("bad", "failed")
    assert [attempt.settings.get("words") for attempt in last.attempts] == [None, "second", "second"]
    assert [attempt.resources["cpus"] for attempt in last.attempts] == [1, 2, 2]
    assert read_json(lab.attempt("bad", 3) / "job.json")["settings"]["words"] == "second"
    assert (lab.folder("bad") / "stage.json").read_bytes() == planned
    shown = cogtui(lab, "show", lab.key("bad"))
    assert shown.stdout.count("words=second  (not as planned)") == 2
    data = json.loads(cogtui(lab, "show", lab.key("bad"), "--json").stdout)["data"]
    assert [attempt["settings"].get("words") for attempt in data["attempts"]] == [None, "second", "second"]


def check_stage_gets_settings(lab: Lab) -> None:
    """The process of the stage works with the setting of its attempt."""
    lab.stage("bad", do="exit 7", once=True, words="planned")
    lab.submit()
    lab.wait("bad", "failed")
    assert cogtui(lab, "retry", lab.key("bad"), "--set", "words=it is said").returncode == 0
    lab.wait("bad", "done")
    assert lab.workspace.folder(lab.key("bad")).result() == {"steps": 1, "starts": 2, "words": "it is said"}
