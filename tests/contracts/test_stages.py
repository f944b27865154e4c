"""The registry: every kind's config is light, keys depend on what matters and on nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from pipelines.errors import InvalidInput
from pipelines.stages import STAGE_KINDS, UNLESS_DEFAULT, InputFile, StageConfig, content_key, stage_kind


class Config(StageConfig):
    steps: int = 10
    template: InputFile | None = None
    checkpoint_every: int = Field(5, json_schema_extra={"in_key": False})


def test_keys_follow_config_and_upstream_but_not_what_changes_no_result() -> None:
    key = content_key("ppo", Config(), ["base-1", "problems-1"])
    assert key.startswith("ppo-")
    assert key == content_key("ppo", Config(checkpoint_every=9), ["problems-1", "base-1"])
    others = [
        content_key("ppo", Config(steps=11), ["base-1", "problems-1"]),
        content_key("ppo", Config(), ["base-2", "problems-1"]),
        content_key("prime", Config(), ["base-1", "problems-1"]),
    ]
    assert len({key, *others}) == 4


class Table(BaseModel):
    width: int = 3
    added_later: str = Field("old", json_schema_extra=UNLESS_DEFAULT)
    memory: int = Field(1, json_schema_extra={"in_key": False})


class NestedConfig(StageConfig):
    table: Table = Table()
    tables: tuple[Table, ...] = (Table(), Table(width=4))
    by_name: dict[str, Table] = Field(default_factory=lambda: {"a": Table()})
    added_later: int | None = Field(None, json_schema_extra=UNLESS_DEFAULT)


def test_a_field_added_later_is_in_the_key_unless_it_has_its_default() -> None:
    plain = {"width": 3}
    assert NestedConfig().key_fields() == {"table": plain, "tables": [plain, {"width": 4}], "by_name": {"a": plain}}
    changed = NestedConfig(added_later=0, table=Table(added_later="new", memory=8), tables=())
    assert changed.key_fields() == {
        "added_later": 0,
        "table": {"width": 3, "added_later": "new"},
        "tables": [],
        "by_name": {"a": plain},
    }
    assert changed.model_dump()["table"]["memory"] == 8


def test_an_input_file_counts_by_content(tmp_path: Path) -> None:
    keys = []
    for name, text in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / name).write_text(text)
        config = Config.model_validate({"template": name}, context={"base": tmp_path})
        keys.append(content_key("ppo", config, []))
    assert keys[0] == keys[1] != keys[2]
    with pytest.raises(ValueError, match="no such file"):
        Config.model_validate({"template": "d"}, context={"base": tmp_path})


def test_a_stored_config_validates_again_to_the_same_key(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    config = Config.model_validate({"template": "a"}, context={"base": tmp_path})
    again = Config.model_validate(config.model_dump(mode="json"))
    assert content_key("ppo", again, []) == content_key("ppo", config, [])


def test_the_nearest_kind_is_named() -> None:
    with pytest.raises(InvalidInput) as error:
        stage_kind("problem")
    assert "Did you mean problems?" in error.value.remedy


@pytest.mark.parametrize("name", STAGE_KINDS.builtin_names())
def test_each_kind_has_a_config_with_a_sentence_for_every_field(name: str) -> None:
    for field_name, field in stage_kind(name).config_model().model_fields.items():
        assert field.description, f"{name}.{field_name} has no description"


def test_config_models_import_nothing_heavy() -> None:
    code = (
        "import sys; from pipelines.stages import STAGE_KINDS, stage_kind;"
        "[stage_kind(name).config_model() for name in STAGE_KINDS.builtin_names()];"
        "heavy = {'torch', 'transformers', 'trl', 'vllm', 'openai', 'anthropic', 'datasets'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
