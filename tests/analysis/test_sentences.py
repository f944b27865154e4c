"""Results in words: what one seed shows, what a seed that failed changes, and claims about any dimension."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from cogtui.analysis.claims import decide_claims
from cogtui.analysis.experiment_summary import ExperimentSummary, summarise_experiment
from cogtui.analysis.sentences import describe_comparison, describe_experiment
from jobs.planning.cell import Cell
from jobs.recipe.claims import CompareTable, read_compare_table
from jobs.recipe.load import load_recipe
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from tests.analysis.lab import accuracies, groups, write_run


def summary(workspace: Workspace, cells: Sequence[Cell], recipe: str = "") -> ExperimentSummary:
    return summarise_experiment("mini", cells, workspace, recipe=recipe)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    found = Workspace(tmp_path / "ws")
    found.create()
    return found


def test_one_seed_is_described_over_problems_and_decides_nothing_over_seeds(workspace: Workspace) -> None:
    cells = [
        write_run(workspace, {"condition": "none", "seed": 1}, 4, 6),
        write_run(workspace, {"condition": "backtracking_verification", "seed": 1}, 6, 26),
    ]
    found = summary(workspace, cells)
    claim = next(one for one in found.claims if one.name == "primed_above_unprimed")
    assert claim.verdict == "undecided"
    said = describe_comparison(claim.comparisons[0])
    assert said.startswith("backtracking_verification − none, accuracy at the end: +0.500 ± 0.1")
    assert said.endswith("over 40 problems, 1 seed: holds for these problems; one seed says nothing about other seeds")
    first, second, third, fourth = describe_experiment(found)
    assert "40 test problems" in first
    assert "15.0 % before and 65.0 % after 10 steps" in first
    assert "10.0 % before and 15.0 % after" in first
    assert "50.0 percentage points ahead" in second
    assert "more than the choice of test problems explains" in second
    assert "checks a result 2.0 times" in third
    assert "One seed cannot show" in fourth


def test_an_effect_that_is_not_there_is_not_claimed(workspace: Workspace) -> None:
    cells = [
        write_run(workspace, {"condition": "none", "seed": 1}, 10, 6),
        write_run(workspace, {"condition": "backtracking_verification", "seed": 1}, 6, 6),
    ]
    _, second, _, fourth = describe_experiment(summary(workspace, cells))
    assert "includes zero, so chance may explain the gap" in second
    assert "yet the primed model did not improve" in fourth  # it lost nothing where the unprimed one lost 4 of 40
    cells[1] = write_run(workspace, {"condition": "all_strategies", "seed": 1}, 20, 6)
    _, _, _, fourth = describe_experiment(summary(workspace, cells))
    assert "unlike in the paper" in fourth


def test_several_primed_conditions_are_counted_and_averaged(workspace: Workspace) -> None:
    cells = [
        write_run(workspace, {"condition": condition, "seed": seed}, 5, end + seed)
        for condition, end in (("none", 6), ("all_strategies", 12), ("only_backtracking", 18))
        for seed in (1, 2, 3)
    ]
    first, second, third, fourth = describe_experiment(summary(workspace, cells))
    assert "2 primed models, on average, 12.5 % before and 42.5 % after" in first
    assert "+15.0 to +30.0 percentage points ahead" in second
    assert "for 2 of 2 the 95 % interval lies above zero" in second
    assert "a primed model on average checks a result 2.0 times" in third
    assert "The intervals are over 3 seeds" in fourth


def test_seeds_that_failed_are_counted(workspace: Workspace) -> None:
    cells = [
        write_run(
            workspace, {"condition": condition, "seed": seed}, 5, end + seed, done=(condition, seed) != ("none", 3)
        )
        for condition, end in (("none", 6), ("backtracking_verification", 20))
        for seed in (1, 2, 3)
    ]
    found = summary(workspace, cells)
    claim = next(one for one in found.claims if one.name == "primed_above_unprimed")
    assert "over 2 of 3 seeds (± " in describe_comparison(claim.comparisons[0])
    assert any("none seed 3" in warning for warning in found.warnings)


def test_undecided_comparisons_say_how_many_seeds_would_decide_them() -> None:
    wide = accuracies("all_strategies", [(0.1, 0.2), (0.1, 0.5), (0.1, 0.3)])
    low = accuracies("none", [(0.1, 0.15), (0.1, 0.16), (0.1, 0.14)])
    found = {claim.name: claim for claim in decide_claims(groups(low, wide))}["primed_above_unprimed"].comparisons[0]
    assert found.verdict == "undecided"
    assert found.seeds_needed is not None
    assert f"{found.seeds_needed - 3} more seeds like these would decide it" in describe_comparison(found)


def two_bases(workspace: Workspace) -> list[Cell]:
    ends = {("plain", "none"): 8, ("plain", "backtracking_verification"): 25, ("habits", "none"): 20}
    return [
        write_run(workspace, {"base": base, "condition": condition, "seed": seed}, 5, end + seed % 2)
        for (base, condition), end in ends.items()
        for seed in (1, 2, 3)
    ]


def test_a_comparison_that_the_recipe_states_is_counted_once(workspace: Workspace) -> None:
    recipe = """
    [[compare.claims]]
    text = "habits gains more"
    above = { base = "habits", condition = "none" }
    below = { base = "plain", condition = "none" }
    when = "gain"
    """
    claims = {claim.name: claim for claim in summary(workspace, two_bases(workspace), recipe).claims}
    assert "base_habits_gains_more_than_plain" not in claims
    assert claims["recipe_1"].comparisons[0].when == "gain"
    assert "base_habits_above_plain" in claims


RECIPE = """
[compare]
reference = { base = "habits" }
[[compare.claims]]
text = "priming closes the gap"
above = { base = "plain", condition = "backtracking_verification" }
below = { base = "habits", condition = "none" }
"""


def test_claims_are_about_any_dimension_and_about_cells_that_the_recipe_names(workspace: Workspace) -> None:
    cells = two_bases(workspace)
    claims = {claim.name: claim for claim in summary(workspace, cells).claims}
    assert claims["base_habits_above_plain"].verdict == "holds"
    (only,) = claims["base_habits_gains_more_than_plain"].comparisons
    assert only.name == "habits - plain (condition=none)"
    assert [one.name for one in claims["primed_above_unprimed"].comparisons] == [
        "backtracking_verification - none (base=plain)"
    ]
    named = {claim.name: claim for claim in summary(workspace, cells, RECIPE).claims}
    assert named["base_plain_above_habits"].verdict == "does not hold"
    assert (named["recipe_1"].text, named["recipe_1"].verdict) == ("priming closes the gap", "holds")


def test_a_recipe_with_an_unknown_cell_is_refused_and_an_old_snapshot_is_read_without(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    stages = '[matrix]\nbase = ["plain"]\n[stages.problems]\nkind = "problems"\n'
    recipe.write_text(f'name = "mine"\n{stages}{RECIPE}')
    with pytest.raises(InvalidInput, match="base has no value 'habits'"):
        load_recipe(recipe)
    assert read_compare_table("[compare]\nunknown = 1\n") == CompareTable()
    assert len(read_compare_table(RECIPE).claims) == 1
