"""Keys in `[resources]` are refused before anything is written, and not repeated in the message."""

from pathlib import Path

import pytest

from jobs.recipe.resources import Resources
from jobs.recipe.secrets import find_secrets
from pipelines.errors import InvalidInput
from tests.jobs.planning.recipes import RECIPE, plan

KEY = "sk-proj-0123456789abcdefghij"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f'environment = {{ OPENAI_API_KEY = "{KEY}" }}', "OPENAI_API_KEY"),
        (f'environment = {{ MY_SETTING = "Bearer {KEY}" }}', "MY_SETTING"),
        ('environment = { HF_TOKEN = "not-marked-as-one" }', "HF_TOKEN"),
        (f"setup = ['module load cuda', 'export OPENAI_API_KEY=\"{KEY}\" A=1']", "OPENAI_API_KEY"),
    ],
)
@pytest.mark.parametrize("table", ["default", "ppo"])
def test_a_secret_is_refused_and_not_repeated(tmp_path: Path, table: str, line: str, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan(tmp_path, f"{RECIPE}\n[resources.{table}]\n{line}\n")
    error = caught.value
    assert f"{name} in {line.split()[0]} looks like a secret" in error.summary
    assert error.detail == "", "named once"
    assert error.remedy == f"Export {name} in the shell that runs cogtui: jobs get its environment."
    assert KEY not in error.summary + error.remedy


def test_what_is_no_secret_is_accepted() -> None:
    resources = Resources(
        environment={
            "OPENAI_API_KEY": "EMPTY",
            "HF_TOKEN": "",
            "TOKENIZERS_PARALLELISM": "false",
            "MAX_TOKENS": "1024",
            "HF_TOKEN_PATH": "/home/me/token",
            "NCCL_DEBUG": "INFO",
        },
        setup=(
            'export OPENAI_API_KEY=$(cat ~/.openai) HF_TOKEN="$HF_TOKEN"',
            "source ~/.keys && module load cuda/12",
            "ulimit -n 4096; export WANDB_MODE=offline",
        ),
    )
    assert list(find_secrets(resources)) == []
