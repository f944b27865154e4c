"""`cogtui retry --set`: settings and resources of the next attempt, and what it refuses."""

import pytest

from jobs.planning.types import StageInstance
from jobs.submit.changes import change_stages
from pipelines.errors import InvalidInput
from pipelines.training.core.configs import PPOConfig, PrimeConfig
from tests.jobs.lab import Lab, cogtui
from tests.jobs.retried import check_retry_takes_settings, check_stage_gets_settings


@pytest.mark.slow
def test_a_retry_takes_settings_and_the_next_keeps_them(lab: Lab) -> None:
    check_retry_takes_settings(lab)


def test_the_stage_works_with_the_settings_of_its_attempt(lab: Lab) -> None:
    check_stage_gets_settings(lab)


def test_a_setting_that_only_the_stage_can_check_is_refused_there(lab: Lab) -> None:
    lab.stage("bad", do="exit 7")
    lab.submit()
    lab.wait("bad", "failed")
    assert cogtui(lab, "retry", lab.key("bad"), "--set", "steps=9").returncode == 0
    lab.wait("bad", "failed")
    assert lab.state("bad").reason.startswith("steps cannot be changed for an attempt")


STAGES = (
    StageInstance("ppo-1", "ppo", "ppo", PPOConfig(micro_batch=4).model_dump(mode="json"), {}),
    StageInstance("prime-1", "prime", "prime", PrimeConfig().model_dump(mode="json"), {}),
)


def test_each_stage_takes_the_changes_that_its_kind_has() -> None:
    changes = ("micro_batch=2", "recompute=true", "engine.vllm.gpu_memory=0.5", "resources.memory=64G")
    changed = change_stages(STAGES, changes)
    settings = {key: stage.settings or {} for key, stage in changed.items()}
    assert settings["ppo-1"]["micro_batch"] == settings["prime-1"]["micro_batch"] == 2
    assert (settings["ppo-1"]["recompute"], settings["ppo-1"]["engine.vllm.gpu_memory"]) == (True, 0.5)
    assert "recompute" not in settings["prime-1"]
    assert {stage.resources.memory for stage in changed.values()} == {"64G"}
    assert changed["ppo-1"].config == STAGES[0].config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("micro_batch", "not of the form PATH=VALUE"),
        ("steps=9", "with another steps it is another stage"),
        ("actor.learning_rate=1", "with another actor.learning_rate it is another stage"),
        ("micro_bacth=2", "no setting of ppo, prime has that name\nDid you mean micro_batch?"),
        ("micro_batch=many", "micro_batch: Input should be a valid integer"),
        ("micro_batch=true", "micro_batch: Value error, true is no number"),
        ("engine.vllm.gpu_memory=2", "engine.vllm.gpu_memory: Input should be less than 1"),
        ("resources.cpsu=2", "there is no resource 'cpsu'\nDid you mean cpus?"),
        ("resources.cpus=0", "cpus: Input should be greater than or equal to 1"),
    ],
)
def test_changes_that_are_refused(change: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        change_stages(STAGES, [change])
    assert said in str(caught.value)
