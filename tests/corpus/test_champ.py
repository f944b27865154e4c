"""Worked solutions that nobody here wrote: a sample of CHAMP classified by the prose judge."""

import json
from pathlib import Path

import pytest

from benchmarks.champ import champ_documents
from pipelines.behaviors.sets.registered import BEHAVIORS
from tests.corpus.lab import jsonl, result, stage

pytest.importorskip("champ_dataset")


def test_a_sample_is_classified_with_statistics(tmp_path: Path) -> None:
    documents = list(champ_documents(every=97))
    assert len(documents) > 150
    path = jsonl(tmp_path / "champ.jsonl", documents)
    columns = {"id": "id", "domain": "domain", "source": "source", "licence": "licence"}
    folder = stage("classify", {"documents": [str(path)], "columns": columns}, tmp_path / "out")
    found = result(folder)
    assert found["judged"] + sum(found["rejected"].values()) == found["documents"] == len(documents)
    assert found["judged"] > 0.95 * len(documents)
    assert found["statuses"] == {"ok": 4 * found["judged"]}
    shares = {name: found["behaviors"][name]["share"] for name in BEHAVIORS}
    # Read by hand: these solutions set goals ("Now, let's check if x >= y") and hardly ever check a result of theirs.
    assert 0 < shares["verification"] < 0.1
    assert shares["backtracking"] < shares["subgoal"]
    assert 0.05 < shares["subgoal"] < 0.9
    assert shares["backward_chaining"] < 0.1
    assert all(found["behaviors"][name]["share_low"] <= shares[name] <= found["behaviors"][name]["share_high"] for name in BEHAVIORS)  # fmt: skip  # noqa: E501
    assert set(found["domains"]) <= {"Combinatorics", "Inequality", "Number-Theory", "Polynomial", "Sequence"}
    assert json.loads((folder.artifacts / "judge_run.json").read_text())["judge"] == "prose"
