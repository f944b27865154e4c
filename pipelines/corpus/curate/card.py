"""The data card of a curated set, as Markdown and JSON: origin, method and content."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from pipelines.corpus.curate.balance import SetStatistics
from pipelines.corpus.curate.rewriting import RewritePrompts
from pipelines.corpus.curate.selection import SetName
from pipelines.corpus.documents.tokens import TokenCounter
from pipelines.files import canonical_json, read_json, write_atomic, write_json
from pipelines.folder import StageFolder
from pipelines.text_safety import picture_controls


def write_card(
    folder: StageFolder,
    config: BaseModel,
    classified: StageFolder,
    result: Mapping[str, Any],
    balances: Mapping[SetName, SetStatistics],
    digests: Mapping[str, str],
    counter: TokenCounter,
    prompts: RewritePrompts | None,
) -> None:
    """Write `artifacts/card.json` and `artifacts/card.md`."""
    source = classified.info()
    texts: dict[str, str] = {}
    if prompts is not None:
        texts = {"system": prompts.system, "rewrite": prompts.rewrite}
        texts.update({str(name): text for name, text in prompts.manner.items()})
    card = {
        "made_by": folder.key,
        "classified_by": {"key": source.key, "judge": read_json(classified.artifact("judge_run.json"))},
        "documents_from": {name: source.config.get(name) for name in ("documents", "dataset", "columns", "limit")},
        "inputs": list(source.inputs),
        "rules": config.model_dump(mode="json"),
        "tokenizer": {"name": counter.name, "sha256": counter.sha256},
        "sources": {name: dict(balance.sources.most_common(50)) for name, balance in balances.items()},
        "licences": {name: dict(balance.licences.most_common(50)) for name, balance in balances.items()},
        "prompts": texts,
        "prompts_sha256": hashlib.sha256(canonical_json(texts).encode()).hexdigest() if texts else None,
        "files_sha256": dict(digests),
        "counts": dict(result),
    }
    write_json(folder.artifacts / "card.json", card)
    write_atomic(folder.artifacts / "card.md", "\n".join(_lines(card)) + "\n")


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    counts = card["counts"]
    yield f"# Data card of {card['made_by']}"
    yield ""
    yield f"Two sets of {counts['budget']:,} tokens under {_safe(card['tokenizer']['name'])}, equal to within "
    yield f"{100 * counts['difference']:.3f} %, from {counts['documents']:,} documents judged by "
    yield f"{_safe(card['classified_by']['judge']['judge'])} ({card['classified_by']['key']})."
    yield ""
    yield "| set | examples | rewritten | tokens | matched | " + " | ".join(_names(counts)) + " |"
    yield "|" + "---|" * (5 + len(_names(counts)))
    for name, each in counts["sets"].items():
        means = " | ".join(f"{value['mean']:.2f}" for value in each["behaviors"].values())
        yield (
            f"| {name} | {each['examples']:,} | {each['rewritten']:,} | {each['tokens']:,} | "
            f"{100 * each['matched']:.1f} % | {means} |"
        )
    yield ""
    yield "Counts of behaviours are means per example. *matched*: the other set has a counterpart of the same"
    yield "domain and length. Distance of the sets (0 alike, 1 nothing in common): domains "
    yield f"{_figure(counts['balance']['domains'])}, lengths {_figure(counts['balance']['lengths'])}; mean log length "
    yield f"differs by {_figure(counts['balance']['log_length'])} standard deviations."
    yield ""
    yield from _table("Documents left out", counts["left_out"])
    for name, each in counts["sets"].items():
        yield from _table(f"Lost in rewriting, {name}", each["dropped"])
        yield from _table(f"Sources, {name}", card["sources"][name])
        yield from _table(f"Licences, {name}", card["licences"][name])
    if card["prompts"]:
        yield f"## Prompts (sha256 {card['prompts_sha256']})"
        yield ""
        for name, text in card["prompts"].items():
            yield f"### {name}"
            yield ""
            yield from (f"    {line}" for line in text.splitlines())
            yield ""
    yield from _table("Files (sha256)", card["files_sha256"])


def _names(counts: Mapping[str, Any]) -> list[str]:
    return list(next(iter(counts["sets"].values()))["behaviors"])


def _table(title: str, rows: Mapping[str, Any]) -> Iterator[str]:
    if rows:
        yield f"## {title}"
        yield ""
        yield from (f"- {_safe(str(name))}: {value:,}" if isinstance(value, int) else f"- {name}: {value}"
                    for name, value in rows.items())  # fmt: skip
        yield ""


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _safe(text: str) -> str:
    """Escape a name from a corpus for Markdown."""
    return picture_controls(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
