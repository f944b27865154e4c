"""Rows of every layout with missing, null and wrongly typed fields: never a crash, never a value of our own making."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogtui.store.importing import column_importer
from cogtui.store.importing.convert import Converter
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.protocol import BadRowError, ImportColumns
from cogtui.store.importing.registry import IMPORTERS
from cogtui.store.stage_files.decode import read_rollout
from pipelines.errors import InvalidInput
from pipelines.files import canonical_json
from pipelines.records import Rollout
from pipelines.row_files import read_rows

ASK = "Using the numbers [2, 6, 9], create an equation that equals 21."
RIGHT = "<think>12 + 9</think><answer>2 * 6 + 9</answer>"
SAID = [{"role": "user", "content": ASK}, {"role": "assistant", "content": RIGHT}]
CHOICE = {"index": 0, "message": SAID[1], "finish_reason": "stop"}
GOOD: dict[str, dict[str, Any]] = {
    "plain": {"prompt": ASK, "completion": RIGHT, "reward": 0.25, "correct": False, "pred": "3", "step": 4, "id": "a",
              "sample": 1, "n_tokens": 5, "finish_reason": "length", "ground_truth": "9", "seed": 1, "split": "s"},
    "chat": {"messages": SAID, "reward": 0.25, "correct": False},
    "sharegpt": {"conversations": [{"from": "human", "value": ASK}, {"from": "gpt", "value": RIGHT}], "score": 0.25},
    "alpaca": {"instruction": ASK, "input": "", "output": RIGHT, "score": 0.25},
    "sft": {"question": ASK, "reasoning": "hm", "answer": RIGHT},
    "verl": {"input": ASK, "output": RIGHT, "score": 0.25, "gts": {"target": 21, "numbers": [2, 6, 9]}, "step": 3,
             "acc": False, "pred": "3", "uid": "u"},
    "trl": {"step": 7, "prompt": ASK, "completion": RIGHT, "a_reward": 0.25, "b_reward": 0.0, "advantage": 0.1},
    "areal": {"task_id": "t", "sample_idx": 0, "head_version": 1, "tail_version": 1, "reward": 0.25, "prompt": ASK,
              "completion": RIGHT},
    "openai": {"custom_id": "q", "response": {"body": {"id": "c", "model": "m", "choices": [CHOICE, CHOICE],
               "usage": {"completion_tokens": 3}}}, "reward": [0.25, 0.0]},
    "paper": {"index": 1, "prompt": ASK, "generated": RIGHT, "score": 0.25, "ground_truth": {"target": 21}},
}  # fmt: skip
"""A good row by the name of its importer. Stated scores are wrong on purpose: replacing one is an error."""

_WRONG = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just(2**70), st.just("nan"),
    st.lists(st.none() | st.text(max_size=3) | st.integers(), max_size=3), st.just({}), st.just([[]]), st.just([{}]),
    st.just({"content": 3}), st.just([{"role": "assistant"}]), st.just([{"role": 1, "content": [None]}]),
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside a row."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in _places(each, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn, row: dict[str, Any]) -> dict[str, Any]:
    """The row with up to three values missing or replaced, at any depth."""
    changed: dict[str, Any] = json.loads(json.dumps(row))
    for _ in range(draw(st.integers(0, 3))):
        *parents, last = draw(st.sampled_from(_places(changed)[1:] or [("gone",)]))
        holder: Any = changed
        for key in parents:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.booleans()):
            holder.pop(last, None)
        else:
            holder[last] = json.loads(json.dumps(draw(_WRONG)))  # a copy: it may be changed next
    return changed


def _stated_numbers(value: Any) -> set[float]:
    """Every number in a row, also as text or as a verdict."""
    if isinstance(value, Mapping | list):
        inner = value.values() if isinstance(value, Mapping) else value
        return {number for each in inner for number in _stated_numbers(each)}
    try:
        return {float(value)} if isinstance(value, int | float | str) else set()
    except (ValueError, OverflowError):
        return set()


def _check(record: dict[str, Any], row: dict[str, Any]) -> None:
    """A record is whole, the index can read it, and no value in it is made up without being marked."""
    whole = Rollout.model_validate(record)
    read_rollout((canonical_json(record) + "\n").encode("utf-8", "surrogatepass"))
    computed, empty = set(whole.meta["worked_out"]), set(whole.meta.get("left_empty", ()))
    assert whole.completion.strip()
    assert not computed & empty & {"reward", "correct", "answer"}
    numbers = _stated_numbers(row)
    if whole.reward is not None:
        assert math.isfinite(whole.reward)
        sums = {a + b for a in numbers for b in numbers}
        assert "reward" in computed or whole.reward in numbers | sums
    for name, value in (("correct", whole.correct), ("answer", whole.answer)):
        assert value is None or name in computed or name not in empty
    if "completion" not in computed:
        assert json.dumps(whole.completion)[1:-1] in json.dumps(row)
    for _, _, start, end in whole.meta.get("parts", ()):
        assert 0 <= start <= end <= len(whole.completion)


def _read_all(path: Path, row: dict[str, Any], **options: Any) -> int:
    try:
        (file,) = plan_import([path], **options).files
    except InvalidInput:
        return 0  # nothing looks like a completion any more, which is said
    converter = Converter(file.importer, file.columns, "import-0", path.stem, file.stream)
    count, crashes = 0, 0
    for raw in read_rows(path):
        try:
            converted = converter.convert(raw.value)
        except BadRowError as error:
            crashes += str(error).startswith("the importer")
            continue
        for placed in converted.rollouts:
            _check(converter.record(placed, count), row)
            count += 1
    assert crashes == 0
    return count


@pytest.mark.parametrize("name", sorted(GOOD))
def test_damaged_rows_of_a_layout(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("rows")
    good = GOOD[name]
    path = folder / "3.jsonl"
    path.write_text(json.dumps(good) + "\n")
    assert plan_import([path]).files[0].format == name
    assert _read_all(path, good) >= 1

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(damaged(good))
    def check(row: dict[str, Any]) -> None:
        path.write_text(json.dumps(row) + "\n")
        _read_all(path, row)
        path.write_text(json.dumps(good) + "\n" + json.dumps(row) + "\n")  # the layout is that of the good row
        _read_all(path, {"good": good, "row": row}, chosen=name)

    check()


def test_every_layout_of_one_row_per_line_is_tried() -> None:
    missing = {name for name in IMPORTERS.builtin_names() if name not in GOOD}
    assert not missing & {"plain", "chat", "sharegpt", "alpaca", "sft", "verl", "trl", "areal", "openai", "paper"}


@given(damaged(GOOD["plain"]), st.sampled_from(["", "id", "reward", "prompt", "ground_truth"]))
def test_rows_of_texts_are_read_as_all_rows_are(row: dict[str, Any], removed: str) -> None:
    """The fast way for rows whose completion is a text finds what the general one does."""
    row = {**row, "completion": RIGHT}
    fields = {name: (name if name != "answer" else "pred",) for name in GOOD["plain"] if name != removed}
    columns = ImportColumns({"answer" if name == "pred" else name: place for name, place in fields.items()})
    fast = list(IMPORTERS.get("plain").rollouts(row, columns))
    with mock.patch.object(column_importer, "plan_text_rows", return_value=None):
        general = list(IMPORTERS.get("plain").rollouts(row, columns))
    assert repr(fast) == repr(general)  # NaN is not equal to itself
