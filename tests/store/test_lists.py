"""Pages, counts and orders are those that going through everything gives."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogtui.store import END, Query, RolloutDetail, RolloutRow, Store, open_store
from cogtui.store.filter.parser import parse
from cogtui.store.query import aggregates as store_aggregates
from cogtui.store.query import select as store_select
from cogtui.store.values.types import Sort, SortField
from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import BEHAVIORS
from tests.store.lab import Lab, judge, make_rollouts, write_judgements, write_rollouts
from tests.store.oracle import is_sorted, passes

SORTS: tuple[SortField, ...] = (
    "step", "condition", "seed", "stage", "problem", "sample", "reward", "correct", "tokens", "length", "unaligned",
    *BEHAVIORS,
)  # fmt: skip


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, list[RolloutDetail]]]:
    """An index of some hundred rollouts, some unscored, some unjudged, some without a condition; and all of them."""
    workspace = Workspace(tmp_path_factory.mktemp("lists") / "workspace")
    workspace.create()
    lab = Lab(workspace)
    judged = lab.judge_stage(99)
    conditions: list[dict[str, str | int]] = [{"condition": "none", "seed": 1}, {"condition": "dots", "seed": 2}, {}]
    for number, labels in enumerate(conditions):
        folder = lab.stage("ppo" if labels else "import", number + 1, labels)
        rollouts = [
            one.model_copy(update={"reward": None, "correct": None}) if index % 7 == 3 else one
            for index, one in enumerate(make_rollouts(folder.key, range(0, 50, 10), problems=6))
        ]
        write_rollouts(folder, rollouts)
        for index, one in enumerate(rollouts):
            if index % 5:
                write_judgements(judged, judge(one, failed={"verification": "truncated"} if index % 11 == 1 else None))
    with open_store(workspace) as store:
        store.ingest()
        rows = store.page(Query(), limit=10_000).rows
        store.annotate(rows[3].id, note="Odd arithmetic here")
        store.annotate(rows[8].id, tags=["gold", "odd"])
        details = list(store.rollouts(row.id for row in rows))
        assert len(details) == 180
        yield store, details


NUMBERS = st.sampled_from(["0", "1", "2", "3", "0.1", "10", "20", "40", "150", "300"])
COMPARISONS = st.builds(
    lambda field, operator, value: f"{field}{operator}{value}",
    st.sampled_from(["step", "reward", "seed", "sample", "tokens", "length", "unaligned", "target", *BEHAVIORS]),
    st.sampled_from([":", "<", "<=", ">", ">=", "!="]),
    NUMBERS,
)
PATTERNS = st.builds(
    lambda a, b, limit: f"{a}->{b}{limit}",
    st.sampled_from(BEHAVIORS), st.sampled_from(BEHAVIORS), st.sampled_from(["", "<1", "<=20", "<80", "<500"]),
)  # fmt: skip
LEAVES = st.one_of(
    COMPARISONS,
    PATTERNS,
    st.sampled_from([
        "condition:none", "condition:none,dots", "condition:d*", "split:train", "kind:import", "correct:true",
        "correct:false", "finish:length", "problem:3", "problem:train-00002", "text:different",
        'text:"a different pair"', "text:work*", 'text:"nowhere to be found"', "has:judged", "has:failed",
        "has:reward", "has:answer", "has:note", "has:tag", "has:backtracking", "has:unaligned", "id:0,3,a",
    ]),
)  # fmt: skip
FILTERS = st.one_of(
    st.just(""),
    st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.builds(lambda a, b: f"{a} {b}", inner, inner),
            st.builds(lambda a, b: f"({a} OR {b})", inner, inner),
            st.builds(lambda a: f"NOT ({a})", inner),
        ),
        max_leaves=5,
    ),
)
QUERIES = st.builds(
    lambda text, field, down: Query(parse(text), Sort(field, down)), FILTERS, st.sampled_from(SORTS), st.booleans()
)
FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pages_forward(store: Store, query: Query, limit: int) -> list[RolloutRow]:
    page = store.page(query, limit=limit)
    rows = list(page.rows)
    while page.after is not None:
        page = store.page(query, page.after, limit=limit)
        assert page.rows, "a page that was announced is empty"
        rows += page.rows
    return rows


@FEW
@given(query=QUERIES)
def test_a_list_holds_exactly_what_the_filter_lets_through(
    everything: tuple[Store, list[RolloutDetail]], query: Query
) -> None:
    store, details = everything
    rows = store.page(query, limit=10_000).rows
    expected = {detail.row.id for detail in details if passes(detail, query.filter.term)}
    assert {row.id for row in rows} == expected
    assert len(rows) == len(expected) == store.count(query)
    by_id = {detail.row.id: detail for detail in details}
    assert is_sorted([by_id[row.id] for row in rows], query.sort)


@FEW
@given(query=QUERIES, limit=st.integers(1, 40), way=st.sampled_from(["walk", "scan", "collect"]))
def test_pages_forwards_and_backwards_make_up_the_list(
    everything: tuple[Store, list[RolloutDetail]], query: Query, limit: int, way: str
) -> None:
    """Whether rows are found by walking an index, text by text, or by collecting them makes no difference either."""
    store, _ = everything
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store_select, "WALK_BUDGET_S", 10.0 if way == "walk" else 0.0)
        patched.setattr(store_select, "CHECK_BUDGET_S", 10.0 if way == "walk" else 0.0)
        patched.setattr(store_select, "SCAN_BUDGET_S", 10.0 if way == "scan" else 0.0)
        patched.setattr(store_select, "CHECK_S", 1e9 if way == "collect" else 0.0)
        patched.setattr(store_select, "RARE", 0)
        patched.setattr(store_select, "STEPS_BETWEEN_LOOKS", 1)
        whole = [row.id for row in store.page(query, limit=10_000).rows]
        assert [row.id for row in pages_forward(store, query, limit)] == whole
        page = store.page(query, before=END, limit=limit)
        backwards = [row.id for row in page.rows]
        while page.before is not None:
            page = store.page(query, before=page.before, limit=limit)
            backwards = [row.id for row in page.rows] + backwards
        assert backwards == whole


@FEW
@given(query=QUERIES, at=st.integers(0, 200))
def test_the_position_of_a_row_is_the_number_of_rows_before_it(
    everything: tuple[Store, list[RolloutDetail]], query: Query, at: int
) -> None:
    store, _ = everything
    rows = store.page(query, limit=10_000).rows
    assert store.position(query, END) == len(rows)
    if rows:
        at %= len(rows)
        assert store.position(query, rows[at].cursor) == at
        assert store.locate(query, rows[at].id) == rows[at].cursor


def test_a_cursor_stays_right_while_rows_arrive(lab: Lab) -> None:
    folder = lab.stage("ppo", 1)
    write_rollouts(folder, make_rollouts(folder.key, [10, 20]))
    with open_store(lab.workspace) as store:
        newest = store.ingest().newest
        first = store.page(Query(), limit=10)
        write_rollouts(folder, make_rollouts(folder.key, [0, 15, 30]))
        store.ingest()
        rest = pages_forward(store, Query(), 7)
        assert store.count(Query(), newer_than=newest) == 24
        assert first.after is not None
        following = [row.step for row in store.page(Query(), first.after, limit=100).rows]
        assert following == sorted(following)
        assert len(following) == 16 - 10 + 8
        assert len(rest) == 40


def test_the_words_of_people_do_not_reach_the_database(everything: tuple[Store, list[RolloutDetail]]) -> None:
    store, _ = everything
    hostile = "x'; DROP TABLE rollout; --"
    for field in ("condition", "problem", "tag", "note", "id", "judge", "stage", "text"):
        assert store.count(Query(parse(f'{field}:"{hostile}"'))) == 0
    assert store.count(Query()) == 180
    assert store.count(Query(parse('text:"different OR begin"'))) == 0
    assert store.count(Query(parse('note:"%"'))) == 0


@FEW
@given(
    query=QUERIES,
    field=st.sampled_from(["reward", "correct", "step", "sample", "tokens", "length", "unaligned", *BEHAVIORS]),
    bins=st.integers(1, 30),
    many=st.sampled_from([0, 20_000]),
)
def test_the_bars_of_a_histogram_are_filters_that_share_out_the_list(
    everything: tuple[Store, list[RolloutDetail]], query: Query, field: SortField, bins: int, many: int
) -> None:
    """Whether values are counted one by one or go into bins as they are read; what has no value is in no bar."""
    store, _ = everything
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store_aggregates, "MANY_VALUES", many)
        found = store.histogram(query, field, bins=bins)
    assert sum(bar.count for bar in found.bins) + found.missing == store.count(query)
    for bar in found.bins:
        assert bar.count == store.count(Query(query.filter & parse(bar.filter)))
        assert bar.count > 0
    assert len(found.bins) <= max(bins, 2)


@pytest.mark.parametrize("term", ["step:{0}", "backtracking>={0}", 'text:"word{0}"', "note:word{0}", "NOT tag:t{0}"])
def test_as_many_terms_as_a_filter_may_have_are_answered(store: Store, term: str) -> None:
    wide = " OR ".join(term.format(number) for number in range(1, 401))
    matched, others = (store.count(Query(parse(text))) for text in (wide, f"NOT ({wide})"))
    unjudged = store.count(Query()) - matched - others  # neither a term on behaviours nor its negation matches them
    assert (unjudged > 0) == term.startswith("backtracking")
    assert bool(store.page(Query(parse(wide)), limit=3).rows) == bool(matched)
