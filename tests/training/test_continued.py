"""Continued pretraining: packed or text by text, killed anywhere and continued it is the same; PPO takes its model."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.corpus.documents.examples import PretrainingExample, encode_example
from pipelines.errors import InvalidInput, StageFailed
from pipelines.files import write_json
from pipelines.run import prepare, run_stage
from pipelines.training.core.metrics import read_metrics
from pipelines.training.core.model import load_model
from pipelines.training.supervised import sft
from tests.training.helpers import BASE, PPO, problems_folder, run_alone

pytestmark = pytest.mark.train

CONFIG: dict[str, Any] = {
    "condition": "owm_rich", "epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "max_tokens": 48,
    "packing": False, "checkpoint_every": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Problems, a base model, a curated set of twelve examples in its vocabulary."""
    folder = tmp_path_factory.mktemp("continued")
    problems = problems_folder(folder / "problems")
    base = run_alone("base", BASE, folder / "base", [problems]).path
    curate = folder / "curate"
    (curate / "artifacts").mkdir(parents=True)
    write_json(curate / "stage.json", {"kind": "curate", "key": "curate-000000000000", "config": {}})
    examples = [
        PretrainingExample(
            id=f"e{n}",
            document=f"d{n}",
            prompt="numbers 1 3 goal 4\n<think>\n" if n % 3 else "",
            completion=f"1 + 3 = {n % 8} is not the goal . Let's try something else . 1 + 3 = 4 is the goal .",
        )
        for n in range(12)
    ]
    for name in ("owm_rich", "owm_minimised"):
        (curate / "artifacts" / f"{name}.jsonl").write_text("".join(encode_example(each) + "\n" for each in examples))
    write_json(curate / "result.json", {})
    return problems, base, curate


def weights(path: Path) -> dict[str, Any]:
    return dict(load_model(path / "artifacts" / "model").state_dict())


def test_killed_and_continued_it_is_the_same(
    upstream: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, base, curate = upstream
    whole = run_alone("pretrain", CONFIG, tmp_path / "whole", [base, curate])
    folder = prepare("pretrain", CONFIG, tmp_path / "killed", [base, curate], base=tmp_path)
    real = sft.SFTStageCallback.on_step_end

    def die(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> Any:
        if state.global_step == 5:
            raise KeyboardInterrupt
        return real(self, args, state, control, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(sft.SFTStageCallback, "on_step_end", die)
        with pytest.raises(KeyboardInterrupt):
            run_stage(folder)
    assert [step for step, _ in folder.checkpoints()] == [3]
    assert run_stage(folder) == whole.result()
    one, two = weights(whole.path), weights(folder.path)
    assert all(bool((one[name] == two[name]).all()) for name in one)
    result = whole.result() or {}
    assert result["steps"] == 6
    assert result["examples"] == result["rows"] == 12


def test_continued_with_smaller_micro_batches_it_ends_the_same(
    upstream: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after running out of memory: a batch of 4 is then two passes of 2."""
    _, base, curate = upstream
    whole = run_alone("pretrain", CONFIG, tmp_path / "whole", [base, curate])
    folder = prepare("pretrain", CONFIG, tmp_path / "short", [base, curate], base=tmp_path)
    real = sft.SFTStageCallback.on_step_end

    def die(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> Any:
        if state.global_step == 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, args, state, control, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(sft.SFTStageCallback, "on_step_end", die)
        with pytest.raises(StageFailed, match="out of memory: continued with micro-batches of 4") as caught:
            run_stage(folder)
    assert caught.value.remedy == "It continues with less memory by: set micro_batch = 2 and run it again."
    run_stage(folder, {"micro_batch": 2})
    one, two = read_metrics(whole, "continued"), read_metrics(folder, "continued")
    assert list(one) == list(two) == [1, 2, 3, 4, 5, 6]
    assert all(two[step]["loss"] == pytest.approx(one[step]["loss"], rel=1e-4) for step in one)
    first, second = weights(whole.path), weights(folder.path)
    assert all(bool((first[name] - second[name]).abs().max() < 2e-4) for name in first)


def test_loss_on_completions_and_packing(upstream: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, base, curate = upstream
    found = {}
    for loss in ("full", "completion"):
        for packing in (False, True):
            config = {**CONFIG, "loss": loss, "packing": packing, "epochs": 1}
            found[loss, packing] = (
                run_alone("pretrain", config, tmp_path / f"{loss}{packing}", [base, curate]).result() or {}
            )
    tokens = found["full", False]["tokens"]
    assert all(each["tokens"] == tokens for each in found.values()), "packing loses nothing"
    assert found["full", False]["learnt_tokens"] == tokens
    assert found["completion", True]["learnt_tokens"] == found["completion", False]["learnt_tokens"] < tokens
    assert found["full", True]["rows"] == -(-tokens // 48)
    with pytest.raises(InvalidInput, match="more than 10"):
        run_alone("pretrain", {**CONFIG, "max_tokens": 10}, tmp_path / "long", [base, curate])


def test_ppo_starts_from_it(upstream: tuple[Path, Path, Path], tmp_path: Path) -> None:
    problems, base, curate = upstream
    trained = run_alone("pretrain", {**CONFIG, "condition": "owm_minimised"}, tmp_path / "pretrain", [base, curate])
    ppo = run_alone("ppo", {**PPO, "steps": 1}, tmp_path / "ppo", [problems, trained.path])
    assert (ppo.result() or {})["steps"] == 1
