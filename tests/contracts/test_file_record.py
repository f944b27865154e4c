"""Small state files: read strictly in what they say, leniently in what is new, and never changed by a round trip."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.attempts.processes import process_id
from jobs.attempts.records import ExitRecord, JobRecord
from pipelines.folder import Progress, StageInfo

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(), max_size=20)
"""Lone surrogates included: paths and traces have them."""
JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBERS | TEXT, st.lists, max_leaves=5)


@given(config=st.dictionaries(TEXT, JSON, max_size=4), labels=st.dictionaries(TEXT, TEXT | NUMBERS | st.booleans()))
def test_a_record_survives_its_file(config: dict[str, object], labels: dict[str, str | float | bool]) -> None:
    info = StageInfo(kind="ppo", key="ppo-1", config=config, inputs=("a", "b"), labels=dict(labels))
    raw = info.model_dump()
    for text in (info.model_dump_json(), json.dumps(raw, ensure_ascii=False)):
        assert StageInfo.model_validate_json(text.encode("utf-8", "surrogatepass")) == info
    assert StageInfo.model_validate(raw) == info


def test_an_older_reader_passes_over_what_a_newer_version_adds() -> None:
    job = JobRecord(key="a", number=1, cluster="local", name="n", submitted=1.0, submitter=process_id())
    raw = {**job.model_dump(), "colour": "green"}
    assert JobRecord.model_validate(raw) == job
    assert JobRecord.model_validate_json(json.dumps(raw).encode()) == job


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b'{"run": 1, "host": "h", "time": 1.0, "why": "whim"}', "why"),
        (b'{"run": "1", "host": "h", "time": 1.0, "why": "done"}', "run"),
        (b'{"host": "h", "time": 1.0, "why": "done"}', "run"),
        (b"[]", "object"),
        (b'{"run": 1, "ho', "Input data was truncated|delimiter|Unterminated"),
        (b"", "Expecting value"),
        (b"\xff\xfe", "Expecting value"),
    ],
)
def test_what_is_no_record_is_refused_and_named(text: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ExitRecord.model_validate_json(text)


def test_whole_numbers_are_numbers() -> None:
    progress = Progress.model_validate_json(b'{"done": 3, "total": 4, "unit": "steps", "time": 1, "values": {"kl": 0}}')
    assert (progress.done, progress.total, progress.values) == (3.0, 4.0, {"kl": 0.0})


def test_a_copy_differs_in_what_was_asked_only() -> None:
    ended = ExitRecord(run=1, host="h", time=1.0, why="failed", reason="long", code=7)
    assert ended.model_copy(update={"reason": ""}) == ExitRecord(run=1, host="h", time=1.0, why="failed", code=7)
    assert ended.reason == "long"
