"""docs/paper-parity.md says of our recipes what they say themselves."""

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.jobs.planning.test_examples import configs, planned

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "paper-parity.md"
PAPER = sorted(ROOT.glob("examples/paper-*.toml"))


class Setting(NamedTuple):
    """A row of the page that names a field and our value."""

    field: str
    ours: Any


def settings() -> list[Setting]:
    """The rows with a field and a value in backticks."""
    rows = [line.split("|")[1:-1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return [Setting(*(_quoted(row[0]), tomllib.loads(f"x = {_quoted(row[2])}")["x"])) for row in rows]


def _quoted(cell: str) -> str:
    found = re.findall(r"`([^`]+)`", cell)
    assert found, f"no value in backticks: {cell}"
    return str(found[-1])


def value(config: dict[str, Any], field: str) -> Any:
    """The value of a dotted field."""
    for part in field.split("."):
        config = config[part]
    return config


SETTINGS = settings()


def test_the_page_has_the_settings_of_both_stages() -> None:
    fields = {setting.field for setting in SETTINGS}
    assert {
        "actor.mini_batch",
        "mini_batch",
        "evaluation.sampling.temperature",
        "prime.betas",
        "prime.warmup",
    } <= fields
    assert len(SETTINGS) > 35


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_the_recipes_have_the_values_of_the_page(path: Path, tmp_path: Path) -> None:
    plan = planned(path, tmp_path)
    assert configs(plan, "ppo"), path
    for field, ours in SETTINGS:
        kind, name = ("prime", field.removeprefix("prime.")) if field.startswith("prime.") else ("ppo", field)
        for config in configs(plan, kind):
            assert value(config, name) == ours, f"{path.name}: {kind}.{name}"


def test_updates_a_step_are_two_of_the_actor_and_eight_of_the_critic(tmp_path: Path) -> None:
    from pipelines.training.core.configs import PPOConfig

    for path in PAPER:
        for raw in configs(planned(path, tmp_path), "ppo"):
            config = PPOConfig.model_validate(raw)
            batch = config.prompts * config.rollouts
            assert (batch // config.mini_batch_of("actor"), batch // config.mini_batch_of("critic")) == (2, 8)
