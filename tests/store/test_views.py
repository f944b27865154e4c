"""Views by name, columns and problems on the command line; pages of problems in both directions."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from cogtui.cli.main import run
from cogtui.store import END, Page, Query, Store, open_store
from cogtui.store.filter.parser import parse
from cogtui.store.user_data.views import View, save_view, views_path
from cogtui.store.values.types import GroupSort, ProblemGroup
from tests.store.lab import Lab

Cogtui = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cogtui(filled: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cogtui:
    """Runs a command on the workspace: exit code, standard output, standard error."""
    monkeypatch.setenv("COGTUI_CONFIG", str(tmp_path / "config"))

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run([*arguments, "--workspace", str(filled.workspace.path)])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return call


def data(out: str) -> Any:
    return json.loads(out)["data"]


def test_a_view_gives_filter_order_and_columns(cogtui: Cogtui) -> None:
    save_view(View(name="mine", filter="condition:none", sort="-reward", columns=("reward", "condition", "problem")))
    code, out, _err = cogtui("rollouts", "--view", "mine", "--limit", "7")
    assert code == 0
    head, *rows = out.splitlines()
    assert head.split() == ["reward", "condition", "problem"]
    assert len(rows) == 7
    assert {row.split()[1] for row in rows} == {"none"}
    rewards = [float(row.split()[0]) for row in rows]
    assert rewards == sorted(rewards, reverse=True)
    _, narrowed, _ = cogtui("rollouts", "step:0", "--view", "mine", "--sort", "reward", "--json", "--limit", "5")
    found = data(narrowed)
    assert {(row["condition"], row["step"]) for row in found} == {("none", 0)}
    assert found[0]["reward"] == min(row["reward"] for row in found)


def test_a_view_that_is_not_there_names_those_that_are(cogtui: Cogtui) -> None:
    save_view(View(name="mine"))
    code, out, err = cogtui("rollouts", "--view", "thine")
    assert (code, out) == (4, "")
    assert "no view 'thine'" in err
    assert "mine" in err


def test_a_file_that_holds_no_views_is_an_error_that_names_it(cogtui: Cogtui) -> None:
    views_path().parent.mkdir()
    for text in ("not json", '{"version": 2}', '{"views": [{"name": "x", "colour": 1}]}'):
        views_path().write_text(text)
        code, _, err = cogtui("rollouts", "--view", "x")
        assert code == 2
        assert str(views_path()) in err
        assert views_path().read_text() == text


def test_problems_on_the_command_line(cogtui: Cogtui, store: Store) -> None:
    code, out, _ = cogtui("rollouts", "split:train", "--by-problem", "--sort=-mean", "--json")
    assert code == 0
    found = data(out)
    page = store.problems(Query(parse("split:train")), sort="mean", descending=True)
    assert [row["problem_id"] for row in found] == [group.problem_id for group in page.rows]
    assert [row["mean"] for row in found] == [group.mean for group in page.rows]
    save_view(View(name="hard", filter="split:train", groups="mean"))
    _, text, err = cogtui("rollouts", "--view", "hard", "--limit", "2")
    assert text.splitlines()[0].split() == ["problem", "numbers", "rollouts", "scored", "best", "mean", "worst"]
    assert len(text.splitlines()) == 3
    assert "2 problems" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--columns", "step,colour"), "no column 'colour'"),
        (("--by-problem", "--sort", "step"), "cannot sort problems by 'step'"),
        (("--sort", "colour"), "cannot sort by 'colour'"),
    ],
)
def test_wrong_options_are_named(cogtui: Cogtui, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = cogtui("rollouts", *arguments)
    assert code == 2
    assert words in err


@pytest.mark.parametrize("sort", get_args(GroupSort))
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("text", ["", "reward<1 OR NOT has:reward", "NOT has:reward"])
@pytest.mark.parametrize("many", [0, 20_000])
def test_pages_of_problems_backwards_are_those_forwards(
    store: Store, sort: GroupSort, descending: bool, text: str, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether all of them are kept in memory or each page is asked for; and the order is the same."""
    with open_store(store.workspace, readonly=True) as other:  # `store` keeps no answer of it
        found = other.problems(Query(parse(text)), sort=sort, descending=descending)
        kept = [group.problem_id for group in found.rows]
    monkeypatch.setattr("cogtui.store.query.problem_totals.MANY_PROBLEMS", many)
    query = Query(parse(text))

    def ask(**where: Any) -> Page[ProblemGroup]:
        return store.problems(query, sort=sort, descending=descending, limit=3, **where)

    forwards = [ask()]
    while forwards[-1].after is not None:
        forwards.append(ask(after=forwards[-1].after))
    backwards = [ask(before=END)]
    while backwards[-1].before is not None:
        backwards.append(ask(before=backwards[-1].before))
    there = [group for page in forwards for group in page.rows]
    back = [group for page in reversed(backwards) for group in page.rows]
    assert there == back
    assert [group.problem_id for group in there] == kept
    assert len({group.problem_id for group in there}) == len(there)
    assert forwards[0].before is None
    assert backwards[0].after is None
    for here, above in itertools.pairwise(backwards):
        assert above.after is not None
        assert ask(after=above.after).rows[: len(here.rows)] == here.rows
