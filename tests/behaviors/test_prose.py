"""The prose judge: what it finds in texts of our own, and what it does with texts and models that are no good."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.judges.prose import judge_text
from pipelines.behaviors.judges.prose.clauses import clauses
from pipelines.behaviors.judges.prose.judge import MODEL, ProseJudge, ProseModel, load_model
from pipelines.behaviors.judges.prose.language import other_language
from pipelines.behaviors.judges.prose.model_file import FORMAT, MAGIC, read_model, write_model
from pipelines.behaviors.judges.prose.network import OUTPUTS, VocabularyIndex
from pipelines.behaviors.judges.registry import make_judge
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.errors import InvalidInput
from pipelines.run import prepare, run_stage
from tests.behaviors import hostile
from tests.behaviors.test_stage import judgements, upstream

LONG = (
    "Okay, so a farmer has 40 metres of fence and wants the largest rectangular pen along a straight river. "
    "First, I need to find an expression for the area. If x is the side that leaves the river, the area is x(40 - 2x). "
    "That is 40x - 2x^2, and its vertex is at x = 10. So the pen is 10 by 20 and has 200 square metres. "
    "Let me double-check that: with x = 10 the three sides are 10 + 20 + 10 = 40, which matches the fence. "
    "Hmm, with two rivers the length would be negative, which cannot be. "
    "Alternatively, let me try a different approach: measure from the corner where the rivers meet."
)


def found(text: str) -> dict[str, list[str]]:
    """The quotes of each behaviour."""
    quotes: dict[str, list[str]] = {}
    for span in judge_text(text).spans:
        quotes.setdefault(span.behavior, []).append(span.quote)
    return quotes


def test_each_learned_behaviour_is_found_in_a_text_that_shows_it() -> None:
    quotes = found(LONG)
    assert any("double-check" in quote for quote in quotes["verification"])
    assert any("different approach" in quote for quote in quotes["backtracking"])
    assert any("First, I need to find" in quote for quote in quotes["subgoal"])


def test_a_plain_statement_shows_none() -> None:
    assert judge_text("The river is 40 metres wide. Its water is cold. Fish live in it.").spans == ()


@pytest.mark.parametrize(
    "text",
    [
        "For the sum to be even, both numbers must be odd.",
        "To reach the other bank we need a boat of four metres.",
        "Working backwards, the last move took three coins.",
    ],
)
def test_backward_chaining_by_its_wordings(text: str) -> None:
    assert found(text)["backward_chaining"] == [text]


@pytest.mark.parametrize("text", ["We go back to the start.", "There must be a boat for the ferryman."])
def test_no_backward_chaining(text: str) -> None:
    assert "backward_chaining" not in found(text)


@settings(max_examples=150, deadline=None)
@given(hostile.text)
def test_spans_quote_any_text_and_never_overlap_within_a_behaviour(text: str) -> None:
    last: dict[str, int] = {}
    result = judge_text(text)
    for span in result.spans:
        assert span.start is not None
        assert span.end is not None
        assert text[span.start : span.end] == span.quote
        assert span.quote.strip() == span.quote
        assert 0 < span.score <= 1
        assert span.start >= last.get(span.behavior, 0)
        last[span.behavior] = span.end
        assert span.behavior not in result.unjudged
    assert list(result.spans) == sorted(result.spans, key=lambda span: span.start or 0)


@settings(max_examples=100, deadline=None)
@given(hostile.text)
def test_clauses_cover_all_words_in_order(text: str) -> None:
    behind = 0
    for start, end, stop in clauses(text):
        assert behind <= start < end <= stop
        assert not text[behind:start].strip()
        behind = stop
    assert not text[behind:].strip()


def test_what_is_announced_and_where_the_writer_halts_are_clauses_of_their_own() -> None:
    text = "Let me check this sum: The parts are 3 and 4, so it is 8, but wait, it is 7.\n3 + 4 = 7"
    assert [text[start:end] for start, end, _ in clauses(text)] == [
        "Let me check this sum:",
        "The parts are 3 and 4, so it is 8,",
        "but wait, it is 7.",
    ]
    assert clauses(text)[-1].stop == len(text), "the formula belongs to the words before it"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (
            "German",
            "Wir prüfen nun, ob die Summe gerade ist. Das ist nicht der Fall, also versuchen wir es noch einmal.",
        ),
        ("French", "Vérifions que la somme est paire. Elle ne l'est pas, donc nous cherchons une autre méthode."),
        (
            "Spanish",
            "Comprobemos que la suma es par. No lo es, entonces tenemos que probar con otra idea para el caso.",
        ),
        ("Chinese or Japanese", "我们先检查一下这个和是不是偶数。等一下，这不对，我们换一种方法再试一次。"),
        ("Chinese or Japanese", "我们先检查一下结果。"),
        ("Chinese or Japanese", "不对，3 + 4 = 7"),
        ("Cyrillic", "Нет."),
        ("Greek", "Ας ελέγξουμε το αποτέλεσμα."),
        ("Georgian", "შევამოწმოთ შედეგი."),
        ("German", "Moment, das stimmt nicht."),
        ("German", "Das ist falsch. Nochmal von vorn."),
        ("French", "Il me faut 39 de plus après 70 : 109 - 70 = 39."),
        ("Spanish", "Esto no es correcto."),
        ("Cyrillic", "Проверим, чётна ли сумма. Нет, подождите, попробуем другой способ."),
    ],
)
def test_another_language_is_named_and_not_judged(language: str, text: str) -> None:
    assert other_language(text) == language
    result = judge_text(text)
    assert result.spans == ()
    assert set(result.unjudged) == set(FOUR_HABITS.names)
    assert all(language in why for why in result.unjudged.values())
    assert result.counts == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n ",
        "x = 3",
        "\\frac{1}{2} + \\alpha = 2",
        "α + β = γ",
        "La la land is a film.",
        "We met Dan.",
        "٣ * 7 + 4 = ٢٥",
        "x → 是, y → z",
    ],
)
def test_what_has_too_few_words_to_tell_a_language_is_judged(text: str) -> None:
    result = judge_text(text)
    assert not result.unjudged
    assert result.counts == dict.fromkeys(FOUR_HABITS.names, 0)


def test_the_same_text_is_judged_the_same_whatever_came_before() -> None:
    before = judge_text(LONG)
    for n in range(30):
        judge_text(f"Some other words {n} x{n} y{n * n}, let me check w{n}.")
    assert judge_text(LONG) == before


def test_a_long_text_takes_time_in_proportion_and_is_judged_to_its_end() -> None:
    def seconds(text: str) -> float:
        began = time.process_time()
        judge_text(text)
        return time.process_time() - began

    judge_text(LONG)
    short, long = LONG * 150, LONG * 1_200
    assert seconds(long) < 8 * 3 * min(seconds(short) for _ in range(2))
    assert max(span.end or 0 for span in judge_text(long).spans) > len(long) - len(LONG)
    for odd in ("a" * 1_000_000, "\n" * 1_000_000, "x=1 " * 250_000, ", wait" * 100_000):
        judge_text(odd)


@pytest.mark.slow
@pytest.mark.parametrize("judge", ["prose", "rules"])
def test_a_document_of_five_megabytes_is_judged_to_its_end(judge: str, tmp_path: Path) -> None:
    filler = "The pen lies by the river and the fence is long, which nobody has measured so far. "
    last = LONG if judge == "prose" else "3 + 5 = 8. 8 + 20 = 28. Too high. "
    text = filler * (5_000_000 // len(filler)) + last
    numbers = {"numbers": [3, 5, 8, 20], "target": 24}
    (judged,) = make_judge(judge).judge([JudgeTask("a", "countdown", numbers, text)], tmp_path)
    records = judged.records("run")  # which checks every offset and quote
    assert {record.status for record in records} == {"ok"}
    assert max(span.end or 0 for record in records for span in record.spans) > len(text) - len(last)


def test_a_window_of_a_long_text_is_scored_as_the_text_is() -> None:
    model = load_model(MODEL)
    text = (LONG + "\n\n") * 60  # more clauses than a window has
    places = clauses(text)
    assert len(places) > 512
    driven = np.random.default_rng(0).normal(size=(len(places), model._network.gru_in.shape[1])).astype(np.float32)
    whole = model._network._gru(driven[None], np.array([len(places)]))[0]
    windows = model._network._context(driven)
    assert np.abs(whole - windows).max() < 0.02


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=60, unique=True),
    st.lists(st.integers(0, 2**32 - 1), max_size=40),
    st.integers(0, 17),
)
def test_hashes_are_found_as_by_a_binary_search(known: list[int], others: list[int], crowd: int) -> None:
    dense = [value >> crowd for value in known]  # many under the same upper bits
    vocabulary = np.unique(np.array(dense, np.uint32))
    asked = np.array([*dense, *others, 0, 2**32 - 1], np.uint32)
    at = VocabularyIndex(vocabulary).find(asked)
    assert ((vocabulary[at] == asked) == np.isin(asked, vocabulary)).all()


def test_a_higher_logit_is_a_higher_probability() -> None:
    model = load_model(MODEL)
    logits = np.linspace(-12, 12, 200, dtype=np.float32)[:, None].repeat(len(OUTPUTS), 1)
    probability = model.probabilities(logits)
    assert (np.diff(probability, axis=0) > 0).all()
    assert (probability > 0).all()
    assert (probability < 1).all()
    assert ((model.thresholds > 0.05) & (model.thresholds < 0.9)).all()


def test_spans_are_scored_at_least_as_high_as_their_threshold() -> None:
    model = load_model(MODEL)
    least = dict(zip(OUTPUTS, model.thresholds, strict=True))
    for span in judge_text(LONG).spans:
        assert span.score >= least.get(span.behavior, 0) - 1e-4


# -- the model's file ------------------------------------------------------------------------------


def test_the_shipped_model_is_small_and_says_what_it_was_made_from() -> None:
    stored = read_model(MODEL)
    assert MODEL.stat().st_size <= 2 * 1024 * 1024
    assert len(stored.facts["training"]["data_sha256"]) == 64
    assert stored.facts["training"]["traces"] > 800


def _changed(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    return path


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"cannot be read: .*nowhere\.bin"):
        ProseModel(tmp_path / "nowhere.bin")


@pytest.mark.parametrize("keep", [0, 5, len(MAGIC), len(MAGIC) + 100, -1, -1_000])
def test_a_cut_model_is_named_damaged(tmp_path: Path, keep: int) -> None:
    path = _changed(tmp_path, MODEL.read_bytes()[:keep])
    with pytest.raises(InvalidInput, match=r"damaged .*model\.bin"):
        ProseModel(path)


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    content = bytearray(MODEL.read_bytes())
    content[-500] ^= 1
    with pytest.raises(InvalidInput, match="digest does not fit"):
        ProseModel(_changed(tmp_path, bytes(content)))


def test_a_model_of_another_format_or_other_features_is_named(tmp_path: Path) -> None:
    head, _, payload = MODEL.read_bytes()[len(MAGIC) :].partition(b"\n")
    header = json.loads(head) | {"format": FORMAT + 1}
    with pytest.raises(InvalidInput, match=f"format {FORMAT + 1}, not {FORMAT}"):
        ProseModel(_changed(tmp_path, MAGIC + json.dumps(header).encode() + b"\n" + payload))
    stored = read_model(MODEL)
    other = tmp_path / "other.bin"
    write_model(other, stored.arrays, {**stored.facts, "features": "features-0"})
    with pytest.raises(InvalidInput, match=r"another version: .*other\.bin") as caught:
        ProseModel(other)
    assert "features-0" in caught.value.detail


def test_a_model_without_an_array_or_with_one_of_another_shape_is_damaged(tmp_path: Path) -> None:
    stored = read_model(MODEL)
    path = tmp_path / "model.bin"
    write_model(path, {name: each for name, each in stored.arrays.items() if name != "out"}, stored.facts)
    with pytest.raises(InvalidInput, match=r"damaged \('out'\)"):
        ProseModel(path)
    write_model(path, {**stored.arrays, "out": stored.arrays["out"][:-1]}, stored.facts)
    with pytest.raises(InvalidInput, match=r"damaged .*out has shape"):
        ProseModel(path)


def test_writing_what_was_read_gives_the_same_bytes(tmp_path: Path) -> None:
    stored = read_model(MODEL)
    write_model(tmp_path / "again.bin", stored.arrays, stored.facts)
    assert (tmp_path / "again.bin").read_bytes() == MODEL.read_bytes()


def test_a_judge_without_its_model_judges_nothing(tmp_path: Path) -> None:
    judge = ProseJudge(tmp_path / "nowhere.bin")
    with pytest.raises(InvalidInput, match=r"nowhere\.bin"):
        list(judge.judge([JudgeTask("a", "", {}, LONG)], tmp_path))
    with pytest.raises(InvalidInput, match=r"nowhere\.bin"):
        _ = judge.run


# -- as a judge ------------------------------------------------------------------------------------


def test_as_a_judge_it_gives_four_verdicts_and_says_what_it_did_not_judge(tmp_path: Path) -> None:
    judge = make_judge("prose")
    german = "Wir prüfen nun, ob die Summe gerade ist. Das ist nicht der Fall, also suchen wir noch einmal."
    tasks = [JudgeTask("a", "", {}, LONG), JudgeTask("b", "", {}, german)]
    english, other = judge.judge(tasks, tmp_path)
    assert {verdict.status for verdict in english.verdicts.values()} == {"ok"}
    assert english.verdicts["verification"].count == len(english.verdicts["verification"].spans) >= 1
    assert english.verdicts["backward_chaining"].count == 0
    assert {(v.status, v.count) for v in other.verdicts.values()} == {("unjudged", None)}
    assert all("German" in (v.raw or "") for v in other.verdicts.values())
    records = [*english.records(judge.run.id), *other.records(judge.run.id)]
    assert [record.behavior for record in records] == [*FOUR_HABITS.names] * 2
    assert judge.run.judge == "prose"
    assert judge.run.params["model_sha256"] == read_model(MODEL).sha256


def test_through_the_judge_stage_an_unjudged_text_is_in_no_mean(tmp_path: Path) -> None:
    source = upstream(
        tmp_path / "up", [LONG, "Wir prüfen nun, ob das stimmt. Das ist nicht der Fall, also noch einmal."]
    )
    folder = prepare("judge", {"judge": "prose"}, tmp_path / "judge", [source.path], base=tmp_path)
    result = run_stage(folder)
    assert result["statuses"] == {"ok": 4, "unjudged": 4}
    assert {each["n"] for each in result["behaviors"].values()} == {1}
    assert result["behaviors"]["verification"]["count"] >= 1
    scores = [span.score for record in judgements(folder) for span in record.spans]
    assert scores
    assert all(0 < score < 1 for score in scores)


def test_numpy_is_loaded_only_by_who_judges_and_torch_never() -> None:
    script = (
        "import sys; import pipelines.behaviors.judges.prose, pipelines.behaviors.judges.registry as r; "
        "r.check_judge_name('prose'); print('numpy' in sys.modules); "
        "from pipelines.behaviors.judges.prose import judge_text; judge_text('Let me check.'); "
        "print('numpy' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["wait", "check", "7", "=", "x", ".", "\n\n", ":", "é", "汉"]), max_size=200))
def test_scores_are_finite_for_any_salad(words: list[str]) -> None:
    text = " ".join(words)
    places = clauses(text)
    if places:
        assert np.isfinite(load_model(MODEL).logits(text, places)).all()
