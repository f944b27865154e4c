"""Settings, data, reward and dumps, held against verl's own code. Runs in verl's environment: `make test-verl`.

No GPU is needed, and nothing is trained: a rollout or an update of verl needs CUDA.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from hydra import compose, initialize_config_module
from verl.trainer.ppo.utils import create_rl_dataset, need_critic, need_reference_policy
from verl.utils.config import validate_config

from pipelines.errors import StageFailed
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.signals import Stop
from pipelines.tasks.loading import LoadedProblems, load_problems
from pipelines.tokenizer import build_tokenizer
from pipelines.training.core.configs import PPOConfig
from pipelines.training.rl.step_runner import problems_of_step
from pipelines.training.verl import settings
from pipelines.training.verl.data import TEST_FILE, TRAIN_FILE, write_problem_tables
from pipelines.training.verl.dumps import DumpConverter, read_dump
from pipelines.training.verl.metrics import MetricsFollower
from pipelines.training.verl.process import (
    LOCAL_RAY,
    VerlInterpreter,
    end_process,
    ray_address,
    ray_arguments,
    wait_for_nodes,
)
from pipelines.training.verl.settings import (
    RAY_CPUS,
    VerlMachines,
    VerlPaths,
    hydra_value,
    require_supported,
    verl_overrides,
)

pytestmark = pytest.mark.verl

SMALL: dict[str, Any] = {
    "steps": 3, "prompts": 6, "rollouts": 2, "mini_batch": 6, "sampling": {"max_new_tokens": 24},
    "max_prompt_tokens": 32, "engine": "verl",
}  # fmt: skip


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> StageFolder:
    """A finished problems stage."""
    root = tmp_path_factory.mktemp("problems")
    config = {"train": 10, "test": 4, "sizes": [2], "number_range": [1, 6], "template": "mini"}
    folder = prepare("problems", config, root / "problems", [], base=root)
    run_stage(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(problems: StageFolder) -> LoadedProblems:
    return load_problems(problems)


def tokenizer_of(loaded: LoadedProblems) -> Any:
    prompts = [loaded.task.prompt(problem) for problem in (*loaded.train, *loaded.test)]
    return build_tokenizer(["<answer>", "</answer>", "+", "-", "="], prompts, range(40))


@pytest.fixture(scope="module")
def model(loaded: LoadedProblems, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model without weights: verl reads its config and tokenizer when it checks settings."""
    from transformers import LlamaConfig

    path = tmp_path_factory.mktemp("model")
    tokenizer = tokenizer_of(loaded)
    tokenizer.save_pretrained(path)
    LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_attention_heads=2,
        num_hidden_layers=1,
        architectures=["LlamaForCausalLM"],
    ).save_pretrained(path)
    return path


def paths_in(root: Path, problems: StageFolder, model: Path) -> VerlPaths:
    attempt = root / "verl" / "001"
    attempt.mkdir(parents=True, exist_ok=True)
    return VerlPaths(
        model, root / TRAIN_FILE, root / TEST_FILE, Path(settings.__file__).with_name("reward.py"),
        problems.path, attempt,
    )  # fmt: skip


def composed(config: PPOConfig, paths: VerlPaths, machines: VerlMachines, resume: Path | None = None) -> Any:
    """verl's config, composed and checked by verl."""
    require_supported(config)
    overrides = verl_overrides(
        config, paths, machines, checkpoint_every=10, chat_template="{{ messages[0]['content'] }}", resume_from=resume
    )
    with initialize_config_module("verl.trainer.config", version_base=None):
        found = compose("ppo_trainer", overrides=overrides)
    validate_config(found, use_reference_policy=need_reference_policy(found), use_critic=need_critic(found))
    return found


def test_the_published_settings_are_accepted_and_mean_the_same(
    problems: StageFolder, model: Path, tmp_path: Path
) -> None:
    config = PPOConfig.model_validate({"engine": "verl", "micro_batch": 4, "recompute": True})
    found = composed(config, paths_in(tmp_path, problems, model), VerlMachines(2, 8, 32))
    assert (found.algorithm.adv_estimator, found.algorithm.gamma, found.algorithm.lam) == ("gae", 1.0, 1.0)
    assert need_critic(found)
    assert need_reference_policy(found)
    n = found.actor_rollout_ref.rollout.n
    assert (found.data.train_batch_size, n) == (256, 4)
    # verl multiplies both by n: 128 rollouts an optimizer step, as this project counts them.
    assert found.actor_rollout_ref.actor.ppo_mini_batch_size * n == config.mini_batch
    assert found.critic.ppo_mini_batch_size * n == config.mini_batch
    assert (found.actor_rollout_ref.actor.optim.lr, found.critic.optim.lr) == (1e-6, 1e-5)
    assert found.actor_rollout_ref.actor.optim.override_optimizer_config.eps == config.actor.eps
    assert (found.algorithm.use_kl_in_reward, found.algorithm.kl_ctrl.kl_coef) == (True, 0.001)
    assert (found.data.max_prompt_length, found.data.max_response_length) == (256, 1024)
    assert (found.trainer.nnodes, found.trainer.n_gpus_per_node) == (2, 8)
    assert found.ray_kwargs.ray_init.num_cpus is None  # attached to a cluster, it must not be given
    assert (found.trainer.total_training_steps, found.trainer.save_freq, found.trainer.test_freq) == (250, 10, 10)
    assert found.trainer.resume_mode == "disable"


@pytest.mark.parametrize(
    "change",
    [
        {"kl": 0},
        {"micro_batch": 2},
        {"value_clip": 0, "entropy": 0, "gamma": 0.99, "lam": 0.95, "epochs": 2, "critic_warmup_steps": 5,
         "critic_warmup_epochs": 2},
        {"evaluation": {"every": 0}},
        {"evaluation": {"samples": 4, "sampling": {"max_new_tokens": 24, "temperature": 0.0}}},
        {"sampling": {"max_new_tokens": 24, "top_p": 0.9, "top_k": 20}},
        {"engine": {"name": "verl", "verl": {"tensor_parallel": 2, "rollout": "sglang",
                                             "overrides": ["actor_rollout_ref.actor.strategy=fsdp2"]}}},
    ],
)  # fmt: skip
def test_every_field_is_accepted(change: dict[str, Any], problems: StageFolder, model: Path, tmp_path: Path) -> None:
    config = PPOConfig.model_validate(SMALL | change)
    found = composed(
        config, paths_in(tmp_path, problems, model), VerlMachines(1, 2, RAY_CPUS), tmp_path / "global_step_10"
    )
    assert found.trainer.resume_from_path == str(tmp_path / "global_step_10")
    assert found.ray_kwargs.ray_init.num_cpus == RAY_CPUS
    assert found.critic.cliprange_value == (config.value_clip or 1e9)
    assert found.trainer.critic_warmup == config.critic_warmup_steps
    if config.engine.verl.overrides:
        assert found.actor_rollout_ref.actor.strategy == "fsdp2"


def test_an_override_that_verl_does_not_know_is_refused_by_verl(
    problems: StageFolder, model: Path, tmp_path: Path
) -> None:
    from hydra.errors import ConfigCompositionException

    config = PPOConfig.model_validate(SMALL | {"engine": {"name": "verl", "verl": {"overrides": ["trainer.nope=1"]}}})
    with pytest.raises(ConfigCompositionException, match="nope"):
        composed(config, paths_in(tmp_path, problems, model), VerlMachines(1, 2, RAY_CPUS))


@pytest.mark.parametrize(
    "text", ["/a b/c", "it's", "100%j", "a\\", "a\\'b", "{{ messages[0]['content'] }}", "${x}", "a=b,c:d", "", "é🙂"]
)
def test_any_text_arrives_as_it_is(text: str) -> None:
    with initialize_config_module("verl.trainer.config", version_base=None):
        found = compose("ppo_trainer", overrides=[f"trainer.experiment_name={hydra_value(text)}"])
    assert found.trainer.experiment_name == text


def test_its_data_loader_reads_our_problems_in_the_order_of_the_steps(
    problems: StageFolder, loaded: LoadedProblems, model: Path, tmp_path: Path
) -> None:
    config = PPOConfig.model_validate(SMALL)
    write_problem_tables(tmp_path, loaded, config)
    tokenizer = tokenizer_of(loaded)
    found = composed(config, paths_in(tmp_path, problems, model), VerlMachines(1, 2, RAY_CPUS))
    train = create_rl_dataset(found.data.train_files, found.data, tokenizer, None)
    test = create_rl_dataset(found.data.val_files, found.data, tokenizer, None)
    assert (len(train), len(test)) == (3 * 6, len(loaded.test))
    wanted = [problem for step in range(3) for problem in problems_of_step(loaded.train, step, config)]
    for row, problem in zip((train[index] for index in range(len(train))), wanted, strict=True):
        assert row["raw_prompt"] == [{"role": "user", "content": loaded.task.prompt(problem)}]
        assert row["reward_model"]["ground_truth"] == problem["id"]
        assert json.loads(row["extra_info"]["problem"]) == problem


def test_a_prompt_reaches_the_model_as_it_is(loaded: LoadedProblems) -> None:
    tokenizer = tokenizer_of(loaded)
    prompt = loaded.task.prompt(loaded.train[0])
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    shown = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
    )
    assert shown == prompt


def judged(settings_of_verl: Any, tokenizer: Any, problem: dict[str, Any], texts: list[str]) -> list[Any]:
    """What verl's reward manager makes of completions of a problem."""
    import numpy as np
    import torch
    from verl import DataProto
    from verl.trainer.ppo.reward import load_reward_manager

    def row(text: str) -> Any:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        return DataProto.from_dict(
            tensors={
                "prompts": torch.tensor([[tokenizer.eos_token_id]]),
                "responses": ids,
                "attention_mask": torch.ones(1, 1 + ids.shape[1], dtype=torch.long),
            },
            non_tensors={
                "data_source": np.array(["countdown"], dtype=object),
                "reward_model": np.array([{"style": "rule", "ground_truth": problem["id"]}], dtype=object),
                "extra_info": np.array([{"index": 0, "split": "train", "problem": json.dumps(problem)}], dtype=object),
            },
        )

    async def ask() -> list[Any]:
        manager = load_reward_manager(settings_of_verl, tokenizer)  # it keeps the loop it is made in
        return [await manager.run_single(row(text)) for text in texts]

    return asyncio.run(ask())


def test_its_reward_manager_calls_our_reward(
    problems: StageFolder, loaded: LoadedProblems, model: Path, tmp_path: Path
) -> None:
    tokenizer = tokenizer_of(loaded)
    found = composed(PPOConfig.model_validate(SMALL), paths_in(tmp_path, problems, model), VerlMachines(1, 2, RAY_CPUS))
    for problem in (dict(loaded.train[0]), dict(loaded.train[1])):
        first, second = problem["numbers"]
        texts = [f"<answer> {first} {sign} {second} </answer>" for sign in "+-"] + ["<answer> 1", "1 + 1"]
        scores = [loaded.task.score(text, problem) for text in texts]
        answers = judged(found, tokenizer, problem, texts)
        assert [one["reward_score"] for one in answers] == [score.reward for score in scores]
        accuracies = [one["reward_extra_info"]["acc"] for one in answers]
        assert accuracies == [float(bool(score.correct)) for score in scores]
        assert len({score.reward for score in scores}) > 1
    with pytest.raises(Exception, match=r"."):
        judged(found, tokenizer, {"id": "x"}, ["1 + 1"])
    (report,) = (tmp_path / "verl" / "001").glob("reward-error-*.txt")
    assert "problem x of countdown" in report.read_text()


def test_the_reward_works_where_cogtui_is_not_installed(
    problems: StageFolder, loaded: LoadedProblems, tmp_path: Path
) -> None:
    """Its file finds the package beside itself, and puts nothing else on the path."""
    reward = Path(settings.__file__).with_name("reward.py")
    code = f"""
import importlib.util, json, sys
sys.path = [path for path in sys.path if "cogtui" not in path]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
assert importlib.util.find_spec("pipelines") is None
spec = importlib.util.spec_from_file_location("given", {str(reward)!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
problem = json.loads(sys.argv[1])
text = "<answer>" + "+".join(map(str, problem["numbers"])) + "</answer>"
row = {{"problem": sys.argv[1]}}
print(module.compute_score("countdown", text, problem["id"], row, problems=sys.argv[2], errors=".")["score"])
assert importlib.util.find_spec("cogtui") is None
"""
    problem = dict(loaded.train[0])
    text = f"<answer>{'+'.join(map(str, problem['numbers']))}</answer>"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import site; import sys; sys.path.append({site_packages()!r})\n{code}",
         json.dumps(problem), str(problems.path)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == loaded.task.score(text, problem).reward


def site_packages() -> str:
    return next(path for path in sys.path if path.endswith("site-packages"))


class DumpingTrainer:
    """verl's trainer without its constructor, which needs GPUs."""

    def __new__(cls) -> Any:
        from verl.trainer.ppo.v1.trainer_base import PPOTrainer

        class Trainer(PPOTrainer):  # type: ignore[misc]
            def __init__(self) -> None:
                self.global_steps = 3
                self._init_dump_executor()

            def __getattr__(self, name: str) -> Any:
                raise AttributeError(name)

        Trainer.__abstractmethods__ = frozenset()
        return Trainer()


def test_we_read_what_its_own_function_dumps(problems: StageFolder, loaded: LoadedProblems, tmp_path: Path) -> None:
    problem = dict(loaded.train[0])
    first, second = problem["numbers"]
    texts = [f"<answer> {first} {sign} {second} </answer>" for sign in "+-"]
    scores = [loaded.task.score(text, problem).reward for text in texts]
    trainer = DumpingTrainer()
    group = "0b1f-4c"
    prompt = loaded.task.prompt(problem)
    trainer._dump_generations(
        [prompt] * 3, [*texts, ""], [problem["id"]] * 2 + [None], [*scores, 0.0],
        {"uid": [f"{group}_1_0", f"{group}_0_0", "pad_0"]}, str(tmp_path / "rollouts"),
    )  # fmt: skip
    trainer._dump_generations(
        [prompt], texts[:1], [problem["id"]], scores[:1],
        {"uid": [f"{group}_0_0"], "reward": scores[:1], "acc": [1.0]}, str(tmp_path / "evaluations"),
    )  # fmt: skip
    trainer._shutdown_dump_executor()
    assert len(read_dump(tmp_path / "rollouts" / "3.jsonl")) == 2
    config = PPOConfig.model_validate(SMALL)
    converter = DumpConverter("ppo-0", loaded.task, tokenizer_of(loaded), {str(problem["id"]): problem})
    rollouts = converter.rollouts(tmp_path / "rollouts" / "3.jsonl", "train", 2, config.sampling)
    assert [(one.sample, one.completion, one.reward, one.step) for one in rollouts] == [
        (1, texts[0], scores[0], 2), (0, texts[1], scores[1], 2),
    ]  # fmt: skip
    assert rollouts[0].n_tokens == 6  # five and the end of the sequence
    (evaluated,) = converter.rollouts(tmp_path / "evaluations" / "3.jsonl", "test", 3, config.sampling)
    assert (evaluated.completion, evaluated.split) == (texts[0], "test")


def test_we_read_what_its_own_logger_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    from verl.utils.tracking import Tracking

    path = tmp_path / "metrics.jsonl"
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(path))
    logger = Tracking("cogtui", "ppo", default_backend=["file"], config={})
    logger.log({"actor/entropy": np.float64(0.5), "critic/vf_loss": float("nan"), "actor/grad_norm": 1.0}, step=1)
    logger.log({"val-core/countdown/acc/mean@1": 0.25}, step=2)
    one, other = MetricsFollower(path).read()
    assert (one.step, one.learnt()) == (1, {"entropy": 0.5, "actor_grad_norm": 1.0})
    assert other.values == {"val-core/countdown/acc/mean@1": 0.25}


def test_its_finder_takes_the_checkpoint_that_we_took_over(tmp_path: Path) -> None:
    from verl.utils.checkpoint.checkpoint_manager import find_latest_ckpt_path

    from pipelines.training.verl.checkpoints import latest_saved

    (tmp_path / "global_step_10" / "actor").mkdir(parents=True)
    assert latest_saved(tmp_path) is None
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("10")
    found = latest_saved(tmp_path)
    assert found is not None
    assert (found.step, str(found.path)) == (10, find_latest_ckpt_path(str(tmp_path)))


def test_ray_starts_with_our_arguments_and_ends_with_its_process(tmp_path: Path) -> None:
    interpreter = VerlInterpreter(sys.executable, tmp_path / "output.log")
    interpreter.require()
    address = ray_address("localhost", str(os.getpid()))
    head = interpreter.start(ray_arguments(address, is_head=True, cpus=1, gpus=0), {})
    try:
        wait_for_nodes(interpreter, head, address, 1, Stop())
        assert head.poll() is None
    finally:
        end_process(head)
    left = [one for one in psutil.process_iter() if address in " ".join(_command(one))]
    psutil.wait_procs(left, timeout=30)
    assert not [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_a_ray_that_cannot_start_is_named_at_once(tmp_path: Path) -> None:
    interpreter = VerlInterpreter(sys.executable, tmp_path / "output.log")
    address = ray_address("192.0.2.255", "0")  # no address of this machine
    head = interpreter.start([*ray_arguments(address, is_head=True, cpus=1, gpus=0), "--no-such-option"], {})
    with pytest.raises(StageFailed, match="Ray ended with code 2") as caught:
        wait_for_nodes(interpreter, head, address, 1, Stop())
    assert "no-such-option" in caught.value.detail


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_its_trainer_starts_with_our_settings_up_to_the_gpus(
    problems: StageFolder, loaded: LoadedProblems, model: Path, tmp_path: Path
) -> None:
    """The settings are checked, Ray starts, our data is read, the steps are counted; then a GPU is missing."""
    fewer = ["transfer_queue.backend.SimpleStorage.num_data_storage_units=1"]  # eight take three minutes on two cores
    config = PPOConfig.model_validate(SMALL | {"engine": {"name": "verl", "verl": {"overrides": fewer}}})
    write_problem_tables(tmp_path, loaded, config)
    paths = paths_in(tmp_path, problems, model)
    overrides = verl_overrides(
        config, paths, VerlMachines(1, 1, RAY_CPUS), checkpoint_every=2, chat_template="{{ messages[0]['content'] }}",
        resume_from=None,
    )  # fmt: skip
    interpreter = VerlInterpreter(sys.executable, tmp_path / "output.log")
    process = interpreter.start(["-m", "verl.trainer.main_ppo", *overrides], LOCAL_RAY)
    try:
        code = process.wait(300)
    finally:
        end_process(process)
    output = (tmp_path / "output.log").read_text(errors="replace")
    assert code != 0
    assert "Total available GPUs 0 is less than total desired GPUs 1" in output
    assert "Total training steps: 3" in output
