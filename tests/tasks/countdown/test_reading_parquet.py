import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.tasks.countdown.problems import make_problem, read_problems
from tests.tasks.countdown.shapes import SHAPES, WANTED

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(params=list(SHAPES))
def rows(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return [SHAPES[request.param](problem) for problem in WANTED]


def test_every_shape_as_parquet(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "problems.anything"
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert read_problems(path) == WANTED


def test_many_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    wanted = [make_problem((index % 97, index // 97), index % 89) for index in range(25_000)]
    table = pa.table({"nums": [list(each.numbers) for each in wanted], "target": [each.target for each in wanted]})
    pq.write_table(table, path, row_group_size=7_000)
    assert read_problems(path) == wanted


@pytest.mark.parametrize("keep", [4, 30, 200])
def test_damaged_parquet(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "problems.parquet"
    pq.write_table(pa.table({"nums": [[1, 2]] * 50, "target": [3] * 50}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidInput, match="damaged parquet"):
        read_problems(path)


def test_parquet_without_a_useful_column(tmp_path: Path) -> None:
    path = tmp_path / "problems.parquet"
    pq.write_table(pa.table({"a": [1], "b": [2]}), path)
    with pytest.raises(InvalidInput) as caught:
        read_problems(path)
    assert "no column that could hold a problem" in caught.value.summary
    assert "a, b" in caught.value.detail


def test_a_wrong_row_of_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "problems.parquet"
    pq.write_table(pa.table({"nums": [[1, 2], [1, 2], None], "target": [3, 3, 3]}), path)
    with pytest.raises(InvalidInput, match="row 3: neither numbers and target"):
        read_problems(path)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "problems.parquet"
    pq.write_table(pa.table({"nums": [[1, 2]], "target": [3]}), path)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingRequirement) as caught:
        read_problems(path)
    assert caught.value.remedy == "Install the extra: pip install 'cogtui[export]'"
