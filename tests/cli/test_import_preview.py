"""`cogtui import --dry-run` shows the first row beside how it is read, and writes nothing."""

import json
from pathlib import Path

import pytest

from cogtui.cli.rollouts.import_preview import side_by_side
from cogtui.store.importing.cases import describe_files
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.preview import preview_first_row
from tests.commands import cogtui_here

ROW = {"prompt": "Using the numbers [2, 6, 9], create an equation that equals 21.",
       "completion": "\x1b[31m<answer>2 * 6 + 9</answer>", "reward": None, "note": "x" * 5000}  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "p", "completion": ""}\n' + json.dumps(ROW) + "\n")
    return path


def test_the_first_good_row_is_shown_beside_the_raw_one(rows: Path) -> None:
    (file,) = plan_import([rows]).files
    preview = preview_first_row(file, "import-0")
    fields = dict(preview.fields())
    assert (preview.place, fields["problem_id"]) == ("line 2", "2-6-9_21  (computed)")
    assert (fields["reward"], fields["correct"]) == ("–  (left empty)", "true  (computed)")
    assert fields["n_tokens"] == "unknown"
    assert preview.raw["note"].endswith("(5,000 characters)")
    lines = side_by_side(preview, 100)
    assert all(len(line) <= 100 for line in lines)
    assert not any("\x1b" in line for line in lines)
    halves = [line.partition(" │ ")[::2] for line in lines]
    assert any(left.startswith("completion") and "<answer>" in left for left, _ in halves)
    assert any('"completion"' in right for _, right in halves)


def test_the_command_shows_it_and_writes_nothing(rows: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    shown = cogtui_here("import", str(rows), "--dry-run", "--workspace", str(workspace))
    assert "as it would be read" in shown.stderr
    answer = json.loads(cogtui_here("import", str(rows), "--dry-run", "--json", "--workspace", str(workspace)).stdout)
    (first,) = answer["data"]["first_rows"]
    assert first["raw"]["prompt"] == ROW["prompt"]
    assert first["rollouts"][0]["reward"] is None
    assert not workspace.exists()


def test_all_files_of_a_folder_are_described(rows: Path) -> None:
    (rows.parent / "bad.json").write_text('{"results": [{"q": "x", "y": 1}]}')
    text = "\n".join(describe_files(rows.parent))
    assert "1 rollouts, 1 rows not read" in text
    assert "line 1: not read: the completion is empty" in text
    assert "error: " in text
    assert "\x1b" not in text
