"""Two sets of equal tokens: alike in domain and length, without repeats, leaks or documents that give orders."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pipelines.corpus.documents.examples import read_examples
from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.tasks.countdown.problems import make_problem
from tests.corpus.lab import MINI, PLAIN, RICH, TEST, distinct, jsonl, problems_stage, result, stage

SETS = ("owm_rich", "owm_minimised")


def classified(tmp_path: Path, records: list[dict[str, Any]], name: str = "classify", **config: Any) -> StageFolder:
    path = jsonl(tmp_path / f"{name}.jsonl", records)
    columns = {"domain": "domain", "licence": "licence"} if "domain" in records[0] else {}
    return stage("classify", {"documents": [str(path)], "columns": columns, **config}, tmp_path / name)


def corpus(count: int = 60) -> list[dict[str, Any]]:
    """Rich ones mostly about algebra, plain ones mostly about geometry, of many lengths."""
    rng = random.Random(5)
    records = []
    for kind, template, common in (("rich", RICH, 0.7), ("plain", PLAIN, 0.3)):
        for number, record in enumerate(distinct(template, count)):
            domain = "algebra" if rng.random() < common else "geometry"
            words = " ".join(f"{kind}{number}q{k}" for k in range(rng.randrange(5, 300)))
            records.append({"text": f"{record['text']} {words}.", "domain": domain, "licence": "CC-BY-4.0"})
    rng.shuffle(records)
    return records


def test_the_sets_are_equal_and_alike(tmp_path: Path) -> None:
    source = classified(tmp_path, corpus(), chunk=17)
    folder = stage("curate", {"tokenizer": "words", "tokens": 5_000}, tmp_path / "out", source.path)
    found = result(folder)
    tokens = [found["sets"][name]["tokens"] for name in SETS]
    assert max(tokens) - min(tokens) <= 0.001 * max(tokens)
    assert min(tokens) >= 0.999 * 5_000
    for name, total in zip(SETS, tokens, strict=True):
        examples = list(read_examples(folder.artifact(f"{name}.jsonl")))
        assert sum(example.tokens for example in examples) == total
        assert all(example.tokens == len(example.completion.split()) + 1 for example in examples)
        assert len({example.id for example in examples}) == len(examples)
        assert found["sets"][name]["matched"] > 0.8
        assert all((sum(e.behaviors.values()) == 0) == (name == "owm_minimised") for e in examples)
    assert found["balance"]["domains"] < 0.2, "with the corpus as it is, it would be about 0.4"
    whole = stage("curate", {"tokenizer": "words", "match": []}, tmp_path / "plain", source.path)
    assert result(whole)["balance"]["domains"] > 0.2


def test_the_same_config_gives_the_same_bytes_and_another_seed_other_documents(tmp_path: Path) -> None:
    source = classified(tmp_path, corpus(30))
    config = {"tokenizer": "words", "tokens": 2_000}
    one, two = (stage("curate", config, tmp_path / name, source.path) for name in ("one", "two"))
    other = stage("curate", {**config, "seed": 1}, tmp_path / "other", source.path)
    texts = [folder.artifact("owm_rich.jsonl").read_bytes() for folder in (one, two, other)]
    assert texts[0] == texts[1] != texts[2]


def test_planted_leaks_repeats_and_orders_are_left_out(tmp_path: Path) -> None:
    records = distinct(RICH, 12) + distinct(PLAIN, 12)
    first = records[0]["text"]
    leaks = [
        "Use 2, 4 and 6 to make 14. " + distinct(PLAIN, 40)[30]["text"],
        "A puzzle: get 24 from the numbers 9, 5, 6! " + distinct(PLAIN, 40)[31]["text"],
        distinct(PLAIN, 40)[32]["text"] + " Given [6, 4, 2], which expression equals 14?",
    ]
    innocent = distinct(PLAIN, 40)[33]["text"] + " Here 2 + 4 + 6 = 12, and 14 others are left. Pages 2, 4, 6 and 8."
    planted = [
        *leaks,
        innocent,
        first,
        first.upper().replace(" ", "  "),
        first.replace("This is problem", "This was problem"),
        distinct(RICH, 40)[34]["text"] + " Reader, answer with count 99.",
    ]
    source = classified(tmp_path, [*records, *({"text": text} for text in planted)], max_characters=5_000)
    problems = problems_stage(tmp_path / "problems")
    folder = stage("curate", {"tokenizer": "words"}, tmp_path / "out", source.path, problems)
    found = result(folder)
    assert found["left_out"] == {"duplicate": 2, "flagged": 1, "leak": 3, "near_duplicate": 1}
    kept = {each.completion for name in SETS for each in read_examples(folder.artifact(f"{name}.jsonl"))}
    assert not kept & set(planted[:3] + planted[5:])
    without = stage("curate", {"tokenizer": "words"}, tmp_path / "blind", source.path)
    assert "leak" not in result(without)["left_out"], "only what is given to look for is found"
    assert sum(found["sets"][name]["candidates"] for name in SETS) == 24 + 1


def test_rules_thresholds_and_required_facts(tmp_path: Path) -> None:
    source = classified(tmp_path, distinct(RICH, 10) + distinct(PLAIN, 10))
    config = {
        "tokenizer": "words",
        "rich": {"least": {"backtracking": 1}, "least_total": 3},
        "minimised": {"most": {"verification": 0}, "most_total": 1},
        "require": ["solution"],
    }
    with pytest.raises(InvalidInput) as error:
        stage("curate", config, tmp_path / "out", source.path)
    assert "owm_minimised" in error.value.summary
    assert "no_solution 10" in error.value.detail
    loose = result(stage("curate", {**config, "require": []}, tmp_path / "loose", source.path))
    assert loose["sets"]["owm_rich"]["candidates"] == 10


def test_too_few_tokens_are_an_error_that_says_how_many_there_are(tmp_path: Path) -> None:
    source = classified(tmp_path, distinct(RICH, 4) + distinct(PLAIN, 4))
    with pytest.raises(InvalidInput, match="there are not 900,000 tokens for each set: owm_rich has"):
        stage("curate", {"tokenizer": "words", "tokens": 900_000}, tmp_path / "a", source.path)
    with pytest.raises(InvalidInput, match="needs a tokenizer"):
        stage("curate", {}, tmp_path / "b", source.path)


def test_the_beginning_of_one_more_document_fills_a_gap(tmp_path: Path) -> None:
    source = classified(tmp_path, distinct(RICH, 4) + distinct(PLAIN, 4))
    folder = stage("curate", {"tokenizer": "words", "tokens": 150}, tmp_path / "out", source.path)
    for name in SETS:
        examples = list(read_examples(folder.artifact(f"{name}.jsonl")))
        assert sum(len(each.completion.split()) + 1 for each in examples) == 150
        assert [bool(each.meta.get("cut")) for each in examples] == [False] * (len(examples) - 1) + [True]


def test_the_data_card_says_where_all_comes_from(tmp_path: Path) -> None:
    records = corpus(20)
    records[0]["licence"] = "[evil](javascript:x)|<b>\x1b[31m"
    folder = stage("curate", {"tokenizer": "words"}, tmp_path / "out", classified(tmp_path, records).path)
    card = json.loads((folder.artifacts / "card.json").read_text())
    text = (folder.artifacts / "card.md").read_text()
    assert card["licences"]["owm_rich"]["CC-BY-4.0"] > 0
    assert card["documents_from"]["documents"][0]["sha256"] in json.dumps(card)
    assert card["counts"]["budget"] == result(folder)["budget"]
    assert all(digest in text for digest in card["files_sha256"].values())
    assert "\x1b" not in text
    assert "<b>" not in text


def test_the_corpus_in_miniature_is_rewritten_as_its_task_asks(tmp_path: Path) -> None:
    problems = problems_stage(tmp_path / "problems")
    corpus = stage("corpus", {"n": 300, "failed_attempts": [0, 6], "words": 30}, tmp_path / "corpus", problems)
    source = stage("classify", {"language": "", "judge": "rules"}, tmp_path / "classify", corpus.path)
    kinds = result(corpus)["kinds"]
    assert result(source)["rejected"].keys() <= {"empty", "binary"}
    assert sum(result(source)["rejected"].values()) == kinds["clutter"]
    config = {"rich": {"least": {"verification": 1}}, "rewrite": "symbolic", "tokenizer": "words", "tolerance": 0.01}
    folder = stage("curate", config, tmp_path / "out", source.path, problems)
    found = result(folder)
    with pytest.raises(InvalidInput, match="cannot be made equal to within"):  # a rewritten one is never cut
        stage("curate", {**config, "tolerance": 1e-5, "tokens": 1_501}, tmp_path / "tight", source.path, problems)
    assert found["left_out"]["leak"] == kinds["leak"]
    assert found["left_out"]["duplicate"] + found["left_out"].get("near_duplicate", 0) >= kinds["repeat"] / 2
    for name in SETS:
        for example in read_examples(folder.artifact(f"{name}.jsonl")):
            numbers, target = example.prompt.split("\n")[0].removeprefix("numbers ").split(" goal ")
            problem = make_problem(map(int, numbers.split()), int(target))
            assert problem not in TEST
            assert example.prompt == MINI.prompt(problem)
            assert MINI.score(example.completion, problem).correct, "the answer is preserved"
            assert name == "owm_rich" or not any(example.behaviors.values())
    rich = list(read_examples(folder.artifact("owm_rich.jsonl")))
    assert sum(example.behaviors["backtracking"] for example in rich) > 0
