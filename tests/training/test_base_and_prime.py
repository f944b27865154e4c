"""The base and prime stages: what is learnt, resumed, refused."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.errors import InvalidInput, StageFailed
from pipelines.folder import StageFolder
from pipelines.records import countdown_fields
from pipelines.run import prepare, run_stage
from pipelines.tasks.countdown.task import load_countdown
from pipelines.tasks.loading import load_problems
from pipelines.teachers.symbolic.base_texts import PretrainingSource, PretrainingText
from pipelines.tokenizer import decode, encode, load_tokenizer
from pipelines.traces import PrimingTrace, encode_trace
from pipelines.training.core.checkpoint import TrainingCheckpoint
from pipelines.training.core.configs import BaseConfig, PretrainingConfig
from pipelines.training.core.metrics import read_metrics
from pipelines.training.core.model import load_model
from pipelines.training.stages.base import build_task_tokenizer
from pipelines.training.stages.prime import tokenize_traces
from pipelines.training.supervised import pretraining, sft
from tests.training.helpers import BASE, problems_folder, run_alone
from tests.training.test_ppo_stage import Killed, die_in

pytestmark = pytest.mark.train

WEIGHTS = "artifacts/model/model.safetensors"
SHORT = BASE | {"pretraining": BASE["pretraining"] | {"steps": 6}, "checkpoint_every": 2}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished problems stage."""
    return problems_folder(tmp_path_factory.mktemp("problems") / "problems")


@pytest.fixture(scope="module")
def base(problems: Path, tmp_path_factory: pytest.TempPathFactory) -> StageFolder:
    """A base model after six steps."""
    return run_alone("base", SHORT, tmp_path_factory.mktemp("base") / "base", [problems])


def trace(index: int, completion: str, prompt: str = "numbers 1 2 goal 3\n<think>\n") -> PrimingTrace:
    """A trace with this text."""
    return PrimingTrace(
        id=f"trace{index}",
        problem_id="1-2_3",
        condition="negative_control",
        teacher="human",
        **countdown_fields((1, 2), 3),
        prompt=prompt,
        completion=completion,
        reward=1.0,
        correct=True,
        answer="1 + 2",
    )


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished priming_data stage: 20 traces, each correct."""
    path = tmp_path_factory.mktemp("traces") / "traces"
    (path / "artifacts").mkdir(parents=True)
    texts = [f"{a} + {b} = 3 </think> <answer> {a} + {b} </answer>" for a, b in [(1, 2), (2, 1)] * 10]
    (path / "artifacts" / "traces.jsonl").write_bytes(b"".join(encode_trace(trace(*each)) for each in enumerate(texts)))
    info = {"kind": "priming_data", "key": "priming_data-000000000000", "config": {}}
    (path / "stage.json").write_text(json.dumps(info))
    (path / "result.json").write_text("{}")
    return path


def test_the_losses_of_all_three_kinds_fall(problems: Path, tmp_path: Path) -> None:
    folder = run_alone("base", BASE, tmp_path / "base", [problems])
    values = read_metrics(folder, "pretraining")
    for kind in ("linear", "documents", "worksheets"):
        assert values[59][f"loss_{kind}"] < 0.6 * values[0][f"loss_{kind}"]
    result = folder.result()
    assert result is not None
    model = load_model(folder.artifacts / "model")
    assert result["parameters"] == sum(each.numel() for each in model.parameters())
    assert result["vocabulary"] == model.config.vocab_size == len(load_tokenizer(folder.artifacts / "model"))


def test_pretraining_killed_and_continued_is_the_same(
    problems: Path, base: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call, name in enumerate(("first", "second", "third")):
        with monkeypatch.context() as patch:
            die_in(patch, TrainingCheckpoint, "save", call, after=call != 1)
            with pytest.raises(Killed):
                run_alone("base", SHORT, tmp_path / name, [problems])
        folder = run_alone("base", SHORT, tmp_path / name, [problems])
        assert (folder.path / WEIGHTS).read_bytes() == (base.path / WEIGHTS).read_bytes()
        assert read_metrics(folder, "pretraining") == read_metrics(base, "pretraining")
        assert folder.result() == base.result()


def test_prompts_masked_words_and_padding_are_not_learnt(problems: Path) -> None:
    tokenizer = build_task_tokenizer(BaseConfig(), load_countdown(StageFolder(problems)))
    linear = PretrainingText("numbers 1 2 goal 3\n<think>\n", "1 + 2 = 3")
    document = PretrainingText("", "goal 4 . 1 + 3 = 4", masked=((5, 6), (9, 10), (13, 14)))
    encoded = [pretraining.tokenize_texts([text], tokenizer) for text in (document, linear)]
    packed = pretraining.PackedTexts.pack(encoded, longest=32)
    shown = [
        [None if label == pretraining.IGNORED_LABEL else tokenizer.decode([label]).strip() for label in row]
        for row in packed.labels.tolist()
    ]
    assert shown[0] == [None] * 8 + ["1", "+", "2", "=", "3", "<eos>"]
    assert shown[1] == [None, None, ".", None, "+", None, "=", "4"] + [None] * 6  # nothing stands before the first
    assert decode(tokenizer, packed.ids[1, :8].tolist()) == document.text
    assert packed.kinds.tolist() == [[1] * 14, [0] * 8 + [-1] * 6]


def test_packed_texts_are_learnt_as_if_each_stood_alone(problems: Path, base: StageFolder) -> None:
    loaded = load_countdown(StageFolder(problems))
    tokenizer = load_tokenizer(base.artifacts / "model")
    model = load_model(base.artifacts / "model")
    config = PretrainingConfig(linear=5, documents=6, worksheets=1, text_tokens=40)
    texts = pretraining.sample_texts(config, PretrainingSource(loaded.task, loaded.train), random.Random(1))
    kinds = [pretraining.tokenize_texts(found, tokenizer) for found in texts.values()]
    packed = pretraining.PackedTexts.pack(kinds, longest=96)
    assert len(packed.ids) < sum(map(len, kinds))  # several a row
    with torch.no_grad():
        together = pretraining.loss_per_kind(
            model(input_ids=packed.ids, position_ids=packed.positions, use_cache=False).logits, packed, kinds=3
        )
        for kind, found in enumerate(kinds):
            total, n = 0.0, 0
            for ids, labels in found:
                logits = model(torch.tensor([ids])).logits[0, :-1]
                wanted = torch.tensor(labels[1:])
                total += float(
                    torch.nn.functional.cross_entropy(
                        logits, wanted, ignore_index=pretraining.IGNORED_LABEL, reduction="sum"
                    )
                )
                n += int((wanted != pretraining.IGNORED_LABEL).sum())
            assert float(together[kind]) == pytest.approx(total / n, rel=1e-4)


def test_texts_of_a_step_follow_from_its_number_alone(problems: Path) -> None:
    loaded = load_countdown(StageFolder(problems))
    config = PretrainingConfig(linear=3, documents=2, worksheets=2, text_tokens=20)
    fresh = [
        pretraining.sample_texts(config, PretrainingSource(loaded.task, loaded.train), random.Random(f"0/{step}"))
        for step in (5, 5, 6)
    ]
    assert fresh[0] == fresh[1] != fresh[2]
    assert [len(each) for each in fresh[0].values()] == [3, 2, 2]


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    rate = pretraining.learning_rate_multiplier(PretrainingConfig(steps=100, warmup=0.1, constant=0.5))
    values = [rate(step) for step in range(101)]
    assert values[:10] == sorted(values[:10])
    assert set(values[10:50]) == {1.0}
    assert values[50:] == sorted(values[50:], reverse=True)
    assert values[100] == pytest.approx(0)


def test_a_tokenizer_too_small_for_the_problems_is_refused(problems: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"tokenizer.max_number is 5, but numbers up to 8 occur"):
        run_alone("base", {"tokenizer": {"max_number": 5}}, tmp_path / "base", [problems])


def test_texts_longer_than_the_model_are_refused(problems: Path, tmp_path: Path) -> None:
    config = {"architecture": {"max_positions": 32}, "pretraining": {"text_tokens": 64, "steps": 1}}
    with pytest.raises(InvalidInput, match="a pretraining text has 64 tokens, the model only 32 positions"):
        run_alone("base", config, tmp_path / "base", [problems])


def test_a_loss_that_is_not_finite_ends_the_stage(problems: Path, tmp_path: Path) -> None:
    # A rate beyond reason; betas of 0 leave nothing to damp it.
    config = BASE | {"pretraining": BASE["pretraining"] | {"learning_rate": 1e30, "betas": [0.0, 0.0]}}
    with pytest.raises(StageFailed, match=r"pretraining step \d+ has the loss"):
        run_alone("base", config, tmp_path / "base", [problems])


def test_an_existing_model_is_taken_over(problems: Path, base: StageFolder, tmp_path: Path) -> None:
    model = base.artifacts / "model"
    folder = run_alone("base", {"pretrained": str(model)}, tmp_path / "taken", [problems])
    assert (folder.path / WEIGHTS).read_bytes() == (base.path / WEIGHTS).read_bytes()
    text = "1 + 2 = 3 </think>"
    assert encode(load_tokenizer(folder.artifacts / "model"), text) == encode(load_tokenizer(model), text)


@pytest.mark.parametrize(("lacking", "said"), [("pad_token", "padding"), ("eos_token", "end-of-sequence")])
def test_an_existing_tokenizer_must_end_and_pad(
    lacking: str, said: str, problems: Path, base: StageFolder, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(base.artifacts / "model", model)
    config = json.loads((model / "tokenizer_config.json").read_text())
    del config[lacking]
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInput, match=f"has no {said} token"):
        run_alone("base", {"pretrained": str(model)}, tmp_path / "refused", [problems])
    if lacking == "pad_token":
        folder = run_alone("base", {"pretrained": str(model), "pad_token": "<unk>"}, tmp_path / "mended", [problems])
        assert load_tokenizer(folder.artifacts / "model").pad_token == "<unk>"
        with pytest.raises(InvalidInput, match="is not in the vocabulary"):
            run_alone("base", {"pretrained": str(model), "pad_token": "<fill>"}, tmp_path / "wrong", [problems])


def test_a_tokenizer_larger_than_the_embedding_is_refused(problems: Path, base: StageFolder, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(base.artifacts / "model", model)
    tokenizer = load_tokenizer(model)
    rows = len(tokenizer)
    assert tokenizer.chat_template is None  # none is needed: prompts are plain text
    tokenizer.add_tokens(["<one>", "<two>"])
    tokenizer.save_pretrained(model)
    with pytest.raises(InvalidInput, match=f"has {rows + 2} tokens, and its model embeddings for {rows}") as caught:
        run_alone("base", {"pretrained": str(model)}, tmp_path / "refused", [problems])
    assert "<one>" in caught.value.detail
    assert not (tmp_path / "refused" / "artifacts" / "model").exists()


def test_a_model_that_is_not_there_is_named(problems: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no tokenizer can be read from .*nowhere"):
        run_alone("base", {"pretrained": str(tmp_path / "nowhere")}, tmp_path / "base", [problems])


PRIME: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "max_tokens": 64,
    "schedule": "linear",
    "checkpoint_every": 2,
}


@pytest.fixture(scope="module")
def primed(base: StageFolder, traces: Path, tmp_path_factory: pytest.TempPathFactory) -> StageFolder:
    """A primed model: nine steps."""
    return run_alone("prime", PRIME, tmp_path_factory.mktemp("primed") / "prime", [base.path, traces])


def test_priming_learns_completions(primed: StageFolder, base: StageFolder) -> None:
    values = read_metrics(primed, "priming")
    assert sorted(values) == list(range(1, 10))
    assert values[9]["loss"] < 0.3 * values[1]["loss"]
    result = primed.result()
    assert result is not None
    assert (result["traces"], result["steps"], result["tokens"]) == (20, 9, 240)
    assert [step for step, _ in primed.checkpoints()] == [9]
    assert not (primed.path / "checkpoints" / ".trainer").exists()


def test_priming_killed_and_continued_is_the_same(
    primed: StageFolder, base: StageFolder, traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in (3, 5):
        out = tmp_path / str(call)
        with monkeypatch.context() as patch:
            die_in(patch, sft.SFTStageCallback, "on_step_end", call, after=False)
            with pytest.raises(Killed):
                run_alone("prime", PRIME, out, [base.path, traces])
        assert StageFolder(out).checkpoints()
        folder = run_alone("prime", PRIME, out, [base.path, traces])
        assert (folder.path / WEIGHTS).read_bytes() == (primed.path / WEIGHTS).read_bytes()
        assert read_metrics(folder, "priming") == read_metrics(primed, "priming")


def test_a_damaged_checkpoint_of_priming_is_passed_over(
    primed: StageFolder,
    base: StageFolder,
    traces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        die_in(patch, sft.SFTStageCallback, "on_step_end", 3, after=False)
        with pytest.raises(Killed):
            run_alone("prime", PRIME, tmp_path / "prime", [base.path, traces])
    folder = StageFolder(tmp_path / "prime")
    newest = folder.latest_checkpoint()
    assert newest is not None
    (newest[1] / "optimizer.pt").write_bytes(b"")
    run_stage(folder)
    assert "is damaged and passed over: optimizer.pt" in capsys.readouterr().err
    assert (folder.path / WEIGHTS).read_bytes() == (primed.path / WEIGHTS).read_bytes()


def test_only_completions_and_their_end_are_learnt(base: StageFolder) -> None:
    tokenizer = load_tokenizer(base.artifacts / "model")
    (example,) = tokenize_traces([trace(0, "1 + 2 = 3")], tokenizer, 32)
    learnt = [token for token, keep in zip(example["input_ids"], example["completion_mask"], strict=True) if keep]
    assert decode(tokenizer, learnt) == "1 + 2 = 3<eos>"
    assert example["input_ids"][: -len(learnt)] == encode(tokenizer, trace(0, "").prompt, prompt=True)


def test_traces_that_do_not_fit_are_named(base: StageFolder) -> None:
    tokenizer = load_tokenizer(base.artifacts / "model")
    with pytest.raises(InvalidInput, match="trace trace0 has 14 tokens, more than 13"):
        tokenize_traces([trace(0, "1 + 2 = 3")], tokenizer, 13)
    with pytest.raises(InvalidInput, match="trace trace1: a text cannot be written") as caught:
        tokenize_traces([trace(0, "1"), trace(1, "Eureka")], tokenizer, 64)
    assert "'Eureka'" in caught.value.detail
    with pytest.raises(InvalidInput, match="there are no priming traces"):
        tokenize_traces([], tokenizer, 64)


def test_a_batch_must_divide_into_micro_batches(base: StageFolder, traces: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="batch_size 8 is not a multiple of micro_batch 3"):
        run_alone("prime", PRIME | {"micro_batch": 3}, tmp_path / "prime", [base.path, traces])


def test_sampling_continues_after_the_last_rollout(
    problems: Path, primed: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.streams import StreamWriter, read_rollouts
    from pipelines.training.sampling.rollouts import RolloutSampler

    config = {"split": "train", "samples": 4, "batch": 5, "sampling": {"max_new_tokens": 20}}
    inputs = [problems, primed.path]
    whole = run_alone("sample", config, tmp_path / "whole", inputs)
    with monkeypatch.context() as patch:
        die_in(patch, StreamWriter, "append", 2, after=False)
        with pytest.raises(Killed):
            run_alone("sample", config, tmp_path / "torn", inputs)
    drawn: list[int] = []
    draw = RolloutSampler.sample

    def counting(self: RolloutSampler, due: list[Any], *rest: Any) -> Any:
        drawn.append(len(due))
        return draw(self, due, *rest)

    monkeypatch.setattr(RolloutSampler, "sample", counting)
    torn = run_alone("sample", config, tmp_path / "torn", inputs)
    assert drawn == [5, 5, 4]
    assert list(read_rollouts(torn.path)) == list(read_rollouts(whole.path))
    assert torn.result() == whole.result()
    assert not torch.is_inference_mode_enabled()


def test_a_base_of_another_task_is_pretrained_on_its_solved_problems(tmp_path: Path) -> None:
    options = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    fields = {"task": "reasoning_gym:chain_sum", "train": 8, "test": 4, "task_config": {"options": options}}
    run_stage(prepare("problems", fields, tmp_path / "problems", [], base=tmp_path))
    shape = {"layers": 1, "hidden_size": 16, "intermediate_size": 32}
    few = {"steps": 3, "linear": 4, "documents": 0, "worksheets": 0}
    folder = prepare(
        "base", {"architecture": shape, "pretraining": few}, tmp_path / "base", [tmp_path / "problems"], base=tmp_path
    )
    result = run_stage(folder)
    assert result["loss"] > 0
    loaded = load_problems(StageFolder(tmp_path / "problems"))
    tokenizer = load_tokenizer(tmp_path / "base" / "artifacts" / "model")
    for problem in (*loaded.train, *loaded.test):
        text = f"{loaded.task.prompt(problem)}<answer> {problem['answer']} </answer>"
        assert decode(tokenizer, encode(tokenizer, text)) == text
    for kind in ("documents", "worksheets", "habits"):
        wrong = {"pretraining": {**few, kind: 1}}
        with pytest.raises(InvalidInput, match=f"has no {kind}"):
            run_stage(prepare("base", wrong, tmp_path / kind, [tmp_path / "problems"], base=tmp_path))


def test_a_task_without_texts_needs_a_pretrained_base(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"question": "a", "answer": 1}, {"question": "b", "answer": 2}]')
    fields = {"task": "math", "train": 1, "test": 1, "task_config": {"file": "rows.json"}}
    run_stage(prepare("problems", fields, tmp_path / "problems", [], base=tmp_path))
    with pytest.raises(InvalidInput, match="the task math has no texts to pretrain a model on"):
        run_stage(prepare("base", {}, tmp_path / "base", [tmp_path / "problems"], base=tmp_path))
