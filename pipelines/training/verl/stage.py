"""`engine = "verl"`: the `ppo` stage with verl's trainer in the place of this project's own.

On the first node the stage writes verl's data and settings, starts it, records what it does while it runs, and takes
its last checkpoint as the model. On every other node it lends the node to Ray until the first one ends.
"""

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.errors import InvalidInput, StageFailed
from pipelines.folder import StageFolder
from pipelines.signals import graceful
from pipelines.stages import Inputs
from pipelines.tasks.loading import LoadedProblems, load_problems
from pipelines.tokenizer import encode, load_tokenizer
from pipelines.training.core.configs import PPOConfig
from pipelines.training.rl.step_runner import checkpoint_interval, planned_rollouts
from pipelines.training.rl.summary import summarise_training
from pipelines.training.verl.checkpoints import latest_saved, take_over, usable_checkpoint, write_final_model
from pipelines.training.verl.data import TEST_FILE, TRAIN_FILE, write_problem_tables
from pipelines.training.verl.dumps import DumpConverter
from pipelines.training.verl.process import (
    LOCAL_RAY,
    VerlInterpreter,
    end_process,
    ray_address,
    ray_arguments,
    wait_for_end,
    wait_for_nodes,
)
from pipelines.training.verl.recorder import VerlRecorder
from pipelines.training.verl.settings import RAY_CPUS, VerlMachines, VerlPaths, require_supported, verl_overrides

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROMPT: Final = "{{ messages[0]['content'] }}"
_RESULT_WAIT_S: Final = 600.0
"""Seconds that the other nodes wait for the first one's result: it merges the model after Ray has ended."""
_RETRY_S: Final = 2.0
_JOINED_S: Final = 60.0
"""A node on which Ray runs for that long has joined; Ray gives up sooner if the first node does not answer."""


def run(config: PPOConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Train with verl from the newest checkpoint if there is one; write `artifacts/model` and the result.

    Raises:
        InvalidInput: verl cannot train with this config, or a prompt is too long.
        MissingRequirement: verl or pyarrow is missing.
        StageFailed: verl ended with an error; the detail is the end of its output.
    """
    require_supported(config)
    scratch = folder.path / "verl"
    scratch.mkdir(exist_ok=True)
    rank = int(os.environ.get("RANK", "0"))
    interpreter = VerlInterpreter(config.engine.verl.python, scratch / f"output-{rank}.log")
    interpreter.require()
    machines = _machines()
    if rank > 0:
        _lend_node(folder, interpreter, machines)
        return
    loaded = load_problems(inputs.one("problems"))
    model = inputs.model()
    tokenizer = load_tokenizer(model)
    template = _checked_prompts(config, loaded, tokenizer, model)
    gpus = machines.nodes * machines.gpus
    checkpoint = usable_checkpoint(folder, gpus=gpus)
    paths = VerlPaths(
        model=model.resolve(),
        train=scratch / TRAIN_FILE,
        test=scratch / TEST_FILE,
        reward=Path(__file__).with_name("reward.py"),
        problems=inputs.one("problems").path.resolve(),
        attempt=_next_folder(scratch),
    )
    if checkpoint is None or checkpoint.step < config.steps:
        write_problem_tables(scratch, loaded, config)
        overrides = verl_overrides(
            config,
            paths,
            machines,
            checkpoint_every=checkpoint_interval(config),
            chat_template=template,
            resume_from=None if checkpoint is None else checkpoint.path,
        )
        (paths.attempt / "overrides.txt").write_text("\n".join(overrides) + "\n", encoding="utf-8")
        problems = {str(problem["id"]): problem for problem in (*loaded.train, *loaded.test)}
        recorder = VerlRecorder(
            config,
            folder,
            paths,
            DumpConverter(folder.key, loaded.task, tokenizer, problems),
            step=0 if checkpoint is None else checkpoint.step,
            test_problems=len(loaded.test[: config.evaluation.problems]),
        )
        _train(config, folder, paths, machines, interpreter, overrides, recorder)
        checkpoint = usable_checkpoint(folder, gpus=gpus)
    if checkpoint is None or checkpoint.step < config.steps:
        raise StageFailed(
            f"verl ended without a checkpoint of step {config.steps}",
            detail=interpreter.last_lines(),
            remedy="Run the recipe again with --retry: the stage continues from its last checkpoint.",
        )
    write_final_model(folder, checkpoint.path, model, interpreter)
    summary = summarise_training(folder, config, planned_rollouts(loaded.train, config))
    folder.write_result(summary | {"processes": gpus, "engine": "verl", "device": "cuda", "dtype": "bfloat16"})


def _train(
    config: PPOConfig,
    folder: StageFolder,
    paths: VerlPaths,
    machines: VerlMachines,
    interpreter: VerlInterpreter,
    overrides: list[str],
    recorder: VerlRecorder,
) -> None:
    """Run verl to its end, recording its steps and taking over its checkpoints."""
    with ExitStack() as running, graceful() as stop, recorder.open_streams():
        variables = LOCAL_RAY
        if machines.nodes > 1:
            variables = {"RAY_ADDRESS": _address()}
            head = interpreter.start(
                ray_arguments(_address(), is_head=True, cpus=machines.cpus, gpus=machines.gpus), {}
            )
            running.callback(end_process, head)
            wait_for_nodes(interpreter, head, _address(), machines.nodes, stop)
        process = interpreter.start(["-m", "verl.trainer.main_ppo", *overrides], variables)
        running.callback(end_process, process)
        taken = recorder.step
        code: int | None = None
        while code is None:
            code = wait_for_end(process, stop)
            _require_rewards(paths.attempt)
            recorder.advance(ended=code is not None)
            saved = latest_saved(paths.checkpoints)
            # A checkpoint counts only once the streams reach it: its steps are never sampled again.
            if saved is not None and taken < saved.step <= recorder.step:
                gpus = machines.nodes * machines.gpus
                take_over(folder, saved, gpus=gpus, keep=config.keep_checkpoints)
                taken = saved.step
        if code:
            raise StageFailed(
                f"verl ended with code {code} at step {recorder.step}",
                detail=interpreter.last_lines(),
                remedy="The whole output is in verl/output-0.log of the stage; it continues from its last checkpoint.",
            )


def _require_rewards(attempt: Path) -> None:
    """Check that the reward function has not failed: verl itself goes on without those completions.

    Raises:
        StageFailed: it has; the detail is its report.
    """
    for report in sorted(attempt.glob("reward-error-*.txt")):
        raise StageFailed(
            "the reward failed in verl",
            detail=report.read_text(encoding="utf-8", errors="replace"),
            remedy="Fix the task's score; the stage continues from its last checkpoint.",
        )


def _lend_node(folder: StageFolder, interpreter: VerlInterpreter, machines: VerlMachines) -> None:
    """Run Ray on this node until the first node ends it, then wait for the result.

    Raises:
        StageFailed: the first node ended without a result.
    """
    arguments = ray_arguments(_address(), is_head=False, cpus=machines.cpus, gpus=machines.gpus)
    with graceful() as stop:
        last_joined = time.monotonic()
        while time.monotonic() - last_joined < _RESULT_WAIT_S:
            process, began = interpreter.start(arguments, {}), time.monotonic()
            try:
                while wait_for_end(process, stop) is None:
                    if time.monotonic() - began > _JOINED_S:
                        last_joined = time.monotonic()
            finally:
                end_process(process)
            if folder.result() is not None:
                return
            # Ray ended: the first node does not answer yet, or merges the model by now.
            time.sleep(_RETRY_S)
    raise StageFailed("the first node ended without a result", detail=interpreter.last_lines())


def _address() -> str:
    return ray_address(os.environ["MASTER_ADDR"], os.environ.get("SLURM_JOB_ID", "0"))


def _machines() -> VerlMachines:
    nodes, cpus = int(os.environ.get("WORLD_SIZE", "1")), len(os.sched_getaffinity(0))
    return VerlMachines(nodes, _gpus_here(), max(RAY_CPUS, cpus))


def _gpus_here() -> int:
    import torch

    found = int(torch.cuda.device_count())
    if not found:
        raise InvalidInput(
            "engine verl needs GPUs, and this node shows none", remedy="Set gpus in [resources], or another engine."
        )
    return found


def _next_folder(scratch: Path) -> Path:
    """Create a folder for this attempt: verl empties the metrics file and overwrites the dumps of an earlier one."""
    numbers = [int(path.name) for path in scratch.iterdir() if path.is_dir() and path.name.isdigit()]
    path = scratch / f"{max(numbers, default=0) + 1:03d}"
    path.mkdir()
    return path


def _checked_prompts(
    config: PPOConfig, loaded: LoadedProblems, tokenizer: "PreTrainedTokenizerBase", model: Path
) -> str:
    """Return the chat template that leaves a prompt as it is, after checking all prompts.

    Raises:
        InvalidInput: there are no training problems, a prompt is too long, or the tokenizer adds tokens that a template
            cannot state.
    """
    from transformers import AutoConfig

    if not loaded.train:
        raise InvalidInput("there are no training problems", remedy="Raise train in the problems stage.")
    templates = set()
    longest = 0
    for problem in (*loaded.train, *loaded.test):
        prompt = loaded.task.prompt(problem)
        ids = encode(tokenizer, prompt, prompt=True)
        bare = list(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        if ids != bare and ids != [tokenizer.bos_token_id, *bare]:
            raise InvalidInput(f"the tokenizer of {model} adds other tokens to a prompt than its first one")
        templates.add(_PROMPT if ids == bare else "{{ bos_token }}" + _PROMPT)
        longest = max(longest, len(ids))
    positions = getattr(AutoConfig.from_pretrained(str(model)), "max_position_embeddings", None)
    if longest > config.max_prompt_tokens:
        raise InvalidInput(
            f"a prompt has {longest} tokens, more than max_prompt_tokens = {config.max_prompt_tokens}",
            remedy="Raise max_prompt_tokens or shorten the prompt template.",
        )
    if positions is not None and config.longest_sequence() > positions:
        raise InvalidInput(
            f"prompts of {config.max_prompt_tokens} tokens and completions of {config.sampling.max_new_tokens} do not "
            f"fit into {positions} positions",
            remedy="Lower max_prompt_tokens or sampling.max_new_tokens.",
        )
    (template,) = templates
    return template
