"""Errors of a wrong recipe: file, line, fault, the nearest valid key."""

from pathlib import Path

import pytest

from pipelines.errors import InvalidInput
from pipelines.stages import STAGE_KINDS
from tests.jobs.planning.recipes import RECIPE, changed, line_of, plan, write

PPO = "[stages.ppo]"


def refused(folder: Path, text: str, overrides: tuple[str, ...] = ()) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        plan(folder, text, overrides)
    caught.value.summary = caught.value.summary.replace(f"{folder}/", "")
    caught.value.detail = caught.value.detail.replace(f"{folder}/", "")
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "at", "message", "hint"),
    [
        ('name = "tiny"', 'nam = "tiny"', 'nam = "tiny"', "unknown key 'nam'", "Did you mean name?"),
        ('name = "tiny"', 'name = "../up"', 'name = "../up"', "'../up' is not a valid name", "Use lower-case"),
        ("[stages.ppo]", "[stage.ppo]", "[stage.ppo]", "unknown key 'stage'", "Did you mean stages?"),
        ("steps = 20", "stpes = 20", "stpes", "unknown key 'stpes' in [stages.ppo]", "Did you mean steps?"),
        (
            "actor.learning_rate = 1e-4",
            "actor.eps = 1e-6\nactor.learning_rat = 1e-4",
            "actor.learning_rat =",
            "unknown key 'learning_rat' in [stages.ppo.actor]",
            "Did you mean learning_rate?",
        ),
        (
            "steps = 20",
            'steps = "many"',
            'steps = "many"',
            "stages.ppo.steps: input should be a valid integer, unable to parse string as an integer, not 'many'",
            "",
        ),
        (
            "steps = 20",
            "steps = true",
            "steps = true",
            "stages.ppo.steps: true is no number",
            "",
        ),
        (
            "actor.learning_rate = 1e-4",
            "actor.learning_rate = false",
            "actor.learning_rate = false",
            "stages.ppo.actor.learning_rate: false is no number",
            "",
        ),
        (
            "train = 20",
            "train = 20\nsizes = [true]",
            "sizes = [true]",
            "stages.problems.sizes: true is no number",
            "",
        ),
        (
            "train = 20",
            "train = 20\nsizes = [2,\n  9]",
            "  9]",
            "stages.problems.sizes[1]: input should be less than or equal to 6, not 9",
            "",
        ),
        ('kind = "ppo"', 'kind = "pop"', 'kind = "pop"', "there is no stage kind 'pop'", "Did you mean ppo?"),
        ('kind = "ppo"\n', "", PPO, "stage ppo has no kind", 'Add kind = "ppo".'),
        (
            '["problems", "prime"]',
            '["problems",\n  "prim"]',
            '  "prim"]',
            "there is no stage 'prim'",
            "Did you mean prime?",
        ),
        (
            '["problems", "prime"]',
            '["prime", "problems", "prime"]',
            '["prime", "problems"',
            "'prime' is listed twice",
            "Remove one of the two.",
        ),
        ('needs = ["ppo"]', 'needs = ["judge"]', 'needs = ["judge"]', "stage judge needs itself", "Remove it."),
        (
            'kind = "base"\nneeds = ["problems"]',
            'kind = "base"\nneeds = ["problems", "prime"]',
            'needs = ["problems", "prime"]',
            "the stages need each other in a circle: base → prime → base",
            "Remove one of these needs.",
        ),
        (
            '"{seed}"',
            '"{sead}"',
            '"{sead}"',
            "unknown placeholder {sead}",
            "Did you mean seed? A literal one is written {{sead}}.",
        ),
        (
            'needs = ["problems", "prime"]',
            'needs = ["problems"]',
            'needs = ["problems"]\nseed',
            "stage ppo (kind ppo) needs a stage of kind base, prime, pretrain or ppo",
            "Add base or prime to its needs.",
        ),
        (
            'needs = ["problems", "prime"]',
            'needs = ["problems", "prime", "data"]',
            'needs = ["problems", "prime", "data"]',
            "stage ppo (kind ppo) cannot use data (kind priming_data)",
            "It takes stages of kind problems, base, prime, pretrain or ppo.",
        ),
        (
            'needs = ["problems", "prime"]',
            'needs = ["problems", "prime", "base"]',
            'needs = ["problems", "prime", "base"]',
            "takes one stage of kind base, prime, pretrain or ppo, not prime, base in cell "
            "condition=backtracking_verification seed=1",
            "Leave one of them.",
        ),
        (
            'skip = { condition = ["none"] }\ncondition',
            'skip = { condition = ["nonne"] }\ncondition',
            '["nonne"]',
            "condition has no value 'nonne'",
            "Did you mean none?",
        ),
        (
            'skip = { condition = ["none"] }\ncondition',
            'skip = { conditions = ["none"] }\ncondition',
            "{ conditions",
            "the matrix has no 'conditions'",
            "Did you mean condition?",
        ),
        ("seeds = [1, 2]", "seeds = [1,\n 1]", " 1]", "seeds has 1 twice", "Remove one of the two."),
        (
            "steps = 20",
            'steps = 20\nresources = "gpus"',
            'resources = "gpus"',
            "there are no resources 'gpus'",
            "There are no resources here.",
        ),
    ],
)
def test_one_mistake(tmp_path: Path, old: str, new: str, at: str, message: str, hint: str) -> None:
    text = changed(old, new)
    error = refused(tmp_path, text)
    where, _, said = error.summary.partition(" ")
    assert where == f"tiny.toml:{line_of(text, at)}:"
    assert message in said
    assert error.remedy.startswith(hint)
    assert bool(error.remedy) == bool(hint)


def test_the_whole_message_of_a_wrong_key(tmp_path: Path) -> None:
    error = refused(tmp_path, changed("steps = 20", "stpes = 20"))
    assert str(error) == "tiny.toml:30: unknown key 'stpes' in [stages.ppo]\nDid you mean steps?"


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    text = changed("train = 20", "trane = 20").replace("steps = 20", "steps = 0")
    error = refused(tmp_path, text)
    assert error.summary == "tiny.toml:9: unknown key 'trane' in [stages.problems]"
    assert error.detail == "tiny.toml:30: stages.ppo.steps: input should be greater than or equal to 1, not 0"
    assert error.remedy == "Did you mean train?"


def test_a_value_from_the_matrix_is_blamed_with_its_cell(tmp_path: Path) -> None:
    error = refused(tmp_path, changed('"backtracking_verification"]', '"bakctracking"]'))
    assert error.summary.startswith("tiny.toml:19: stages.data.condition: input should be ")
    assert error.summary.endswith("not 'bakctracking' (with condition=bakctracking)")


def test_a_rule_over_several_fields_points_at_the_table(tmp_path: Path) -> None:
    error = refused(tmp_path, changed('condition = "{condition}"', 'condition = "none"'))
    assert error.summary.startswith(f"tiny.toml:{line_of(RECIPE, '[stages.data]')}: [stages.data]: the condition none")


def test_resources_that_nobody_uses(tmp_path: Path) -> None:
    text = RECIPE + "[resources.pop]\ngpus = 1\n[resources.ppo]\nmemory = 64\npartion = 'x'\ntime = 'long'\n"
    error = refused(tmp_path, text)
    last = text.count("\n")
    assert error.summary == f"tiny.toml:{last - 5}: no stage uses the resources 'pop'"
    assert error.remedy == "Did you mean ppo?"
    assert error.detail.splitlines() == [
        f"tiny.toml:{last - 2}: resources.ppo.memory: input should be a valid string, not 64",
        f"tiny.toml:{last}: resources.ppo.time: time is H:MM, H:MM:SS or D-HH:MM:SS, e.g. 12:00:00",
        f"tiny.toml:{last - 1}: unknown key 'partion' in [resources.ppo] (Did you mean partition?)",
    ]


def test_a_missing_file_beside_the_recipe(tmp_path: Path) -> None:
    error = refused(tmp_path, changed("train = 20", 'template_file = "gone.txt"'))
    assert error.summary == f"tiny.toml:9: stages.problems.template_file: no such file: {tmp_path}/gone.txt".replace(
        f"{tmp_path}/", ""
    )


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("stages.ppo.stpes=3", "--set stages.ppo.stpes=3: unknown key 'stpes' in [stages.ppo]", "Did you mean steps?"),
        ("stages.pop.steps=3", "--set stages.pop.steps=3: the recipe has no stage 'pop'", "Did you mean ppo?"),
        ("stages.ppo.steps=x", "--set stages.ppo.steps=x: stages.ppo.steps: input should be a valid integer", ""),
        ("stage.ppo.steps=3", "--set stage.ppo.steps=3: a recipe has no key 'stage'", "Did you mean stages?"),
        ("stages.ppo", "--set stages.ppo: not of the form PATH=VALUE", "Write it as"),
        ("stages=3", "--set stages=3: the recipe has no stage ''", "Stages: problems"),
        ("seeds.a=3", "--set seeds.a=3: seeds is a value, not a table", "Set the whole value"),
        ("seeds=[]", "--set seeds=[]: seeds is a list with at least one value", ""),
        ("matrix.condition=[1,1]", "--set matrix.condition=[1,1]: matrix.condition has 1 twice", "Remove one"),
        ("stages.ppo.steps=1\nseeds = [1]", "--set stages.ppo.steps=1\nseeds = [1]: stages.ppo.steps: input", ""),
    ],
)
def test_a_wrong_set_is_named_by_itself(tmp_path: Path, override: str, message: str, hint: str) -> None:
    error = refused(tmp_path, RECIPE, (override,))
    assert error.summary.startswith(message)
    assert error.remedy.startswith(hint)


def test_a_matrix_cut_down_by_set_may_leave_skips_and_excludes_without_use(tmp_path: Path) -> None:
    text = changed("[stages.problems]", 'exclude = [{ condition = "none", seed = 2 }]\n\n[stages.problems]')
    found = plan(tmp_path, text, ('matrix.condition=["backtracking_verification"]',))
    assert [cell.labels["seed"] for cell in found.cells] == [1, 2]
    assert plan(tmp_path, text, ("seeds=[7]",)).cells[0].labels == {"condition": "none", "seed": 7}


@pytest.mark.parametrize("text", ["", 'name = "x"\n', 'name = "x"\nstages = 3\n', 'name = "x"\n[stages]\n'])
def test_a_recipe_without_stages(tmp_path: Path, text: str) -> None:
    assert "the recipe has no" in refused(tmp_path, text).summary


@pytest.mark.parametrize("table", ["needs = 'x'", "needs = [1]", "skip = 3", "kind = 3"])
def test_a_key_of_the_wrong_type(tmp_path: Path, table: str) -> None:
    kind = "" if "kind" in table else 'kind = "judge"'
    text = f"{RECIPE}[stages.more]\n{kind}\n{table}\n"
    assert refused(tmp_path, text).summary.startswith(f"tiny.toml:{line_of(text, table)}: ")


def test_no_config_has_a_field_that_a_stage_table_uses_itself() -> None:
    from pipelines.stages import RESERVED_FIELDS

    for kind in map(STAGE_KINDS.get, STAGE_KINDS.builtin_names()):
        assert not set(RESERVED_FIELDS) & set(kind.config_model().model_fields), kind.name


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    from jobs.recipe.load import load_recipe
    from pipelines.errors import NotFound

    with pytest.raises(NotFound, match=r"cannot read .*none\.toml"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(NotFound, match="cannot read"):
        load_recipe(write(tmp_path).parent)
