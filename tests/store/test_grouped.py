"""Judgement lines come to the same whether they are taken four at a time or one by one."""

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from cogtui.store.ingest.judgements_by_rollout import JudgementGrouper, JudgementRecord
from cogtui.store.ingest.parse import FileToParse, parse_chunk
from cogtui.store.stage_files.decode import JudgementLine, SpanLine
from pipelines.behaviors.sets.registered import BEHAVIORS


def _lines(place: random.Random, rollouts: int) -> list[JudgementLine]:
    """Mostly four lines a rollout in order; some are missing, twice, out of order, failed, or without a place."""
    lines = []
    for number in range(rollouts):
        four = []
        for behavior in BEHAVIORS:
            spans = [SpanLine(start, start + place.randint(1, 40)) for start in place.sample(range(300), 3)]
            if place.random() < 0.05:
                spans.append(SpanLine(None, None))
            four.append(
                JudgementLine(f"r{number}", "rules-1", behavior, "ok", len(spans), spans[place.randint(0, 3) :])
            )
        odd = place.randint(0, 9)
        if odd == 0:
            four.pop(place.randint(0, 3))
        elif odd == 1:
            four.append(four[place.randint(0, 3)])
        elif odd == 2:
            place.shuffle(four)
        elif odd == 3:
            four[place.randint(0, 3)] = JudgementLine(f"r{number}", "rules-1", BEHAVIORS[1], "refused", None, [])
        elif odd == 4:
            four += [msgspec.structs.replace(line, judge_run="other-1", spans=[]) for line in four]
        elif odd == 5:
            four += [msgspec.structs.replace(line, spans=[]) for line in four]
        lines += four
    return lines


def _by_key(fields: Sequence[JudgementRecord]) -> list[JudgementRecord]:
    return sorted(fields, key=lambda one: (one.rollout, one.run))


@pytest.mark.parametrize("seed", range(5))
def test_four_at_once_and_one_by_one(seed: int) -> None:
    lines = _lines(random.Random(seed), 200)
    places = list(range(7, 7 + 3 * len(lines), 3))
    together, alone = JudgementGrouper(), JudgementGrouper()
    together.add_all(lines, places)
    for line, at in zip(lines, places, strict=True):
        alone.add(line, at)
    assert _by_key(list(together.finished())) == _by_key(list(alone.finished()))


@pytest.mark.parametrize("span", [(5, 5), (-1, 4), (None, 4), (5, None), (0, 1 << 40), (7, 3)])
def test_a_range_that_is_none_is_refused_either_way(tmp_path: Path, span: tuple[int | None, int | None]) -> None:
    lines = [JudgementLine("r", "rules-1", behavior, "ok", 0, []) for behavior in BEHAVIORS]
    lines[2].spans.append(SpanLine(*span))
    path = tmp_path / "judgements-001.jsonl"
    written = [msgspec.json.encode(line) for line in lines]
    path.write_bytes(b"".join(line + b"\n" for line in written))
    parsed = parse_chunk(FileToParse(3, 0, "judgements", path, 0, path.stat().st_size, False), 0, 1 << 20)
    third = sum(len(line) + 1 for line in written[:2])
    assert [byte for byte, _ in parsed.bad] == [third]
    (record,) = parsed.judgements
    assert record.judgement.statuses == "oo-o"
    assert record.judgement.addresses[2] is None
    assert record.judgement.addresses[1] == 3 << 40 | len(written[0]) + 1


def test_blank_lines_move_no_place(tmp_path: Path) -> None:
    path = tmp_path / "judgements-001.jsonl"
    lines = [msgspec.json.encode(JudgementLine("r", "rules-1", behavior, "ok", 0, [])) for behavior in BEHAVIORS]
    data = b"\n  \n" + lines[0] + b"\n\n" + b"\n \n".join(lines[1:]) + b"\n"
    path.write_bytes(data)
    parsed = parse_chunk(FileToParse(1, 0, "judgements", path, 0, len(data), False), 0, 1 << 20)
    (record,) = parsed.judgements
    assert (record.judgement.statuses, parsed.bad) == ("oooo", [])
    assert record.judgement.addresses == tuple(1 << 40 | data.index(line) for line in lines)
