"""`cogtui judge`: judges rollouts by rules or a language model; shows the cost before it spends."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cogtui.cli.console.options import JsonOption, WorkspaceOption, finite


class JudgeMode(StrEnum):
    """What the model is asked for."""

    SPANS = "spans"
    COUNT_PARITY = "count_parity"


def register(app: typer.Typer) -> None:
    """Add the command `judge`."""
    app.command(
        "judge", help="Judge rollouts for the four behaviours, by rules, a small learned model or a language model."
    )(judge)


def judge(
    filter_text: Annotated[
        str, typer.Argument(help="Filter, e.g. 'condition:dots step>=100'; all rollouts without.", metavar="[FILTER]")
    ] = "",
    *,
    name: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="NAME",
            help="rules, prose, openai:MODEL, anthropic:MODEL or vllm:MODEL (default: rules for tasks about given "
            "numbers, as Countdown; else prose).",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show rollouts, requests, tokens and estimated cost; send nothing.")
    ] = False,
    url: Annotated[str | None, typer.Option(help="Base URL of the server; required for vllm:MODEL.")] = None,
    mode: Annotated[JudgeMode, typer.Option(help="Spans with quotes, or counts only as published.")] = JudgeMode.SPANS,
    batch: Annotated[bool, typer.Option("--batch", help="Use the vendor's Batch API: cheaper, slower.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests in flight at once, live.")] = 16,
    cap: Annotated[
        float | None, typer.Option("--cap", callback=finite, metavar="USD", help="Spend at most this much.")
    ] = None,
    prices: Annotated[Path | None, typer.Option(metavar="FILE", help="Price table of your own (TOML).")] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", metavar="NAME=FILE", help="A prompt file of your own; may be repeated."),
    ] = None,
    repeat: Annotated[
        int,
        typer.Option(
            "--repeat",
            min=0,
            metavar="N",
            help="Ask a model the same again, as its N-th repetition; for agreement --self.",
        ),
    ] = 0,
    max_tokens: Annotated[int | None, typer.Option(min=1, metavar="N", help="Limit of an answer in tokens.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before spending.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `judge`."""
    from cogtui.cli.judge.flow import JudgeRequest, judge_rollouts

    fields = {
        "judge": name,
        "mode": mode.value,
        "url": url,
        "batch": batch,
        "concurrency": concurrency,
        "spending_cap": cap,
        "prices": None if prices is None else str(prices),
        "max_tokens": max_tokens,
        "repeat": repeat or None,
    }
    judge_rollouts(
        JudgeRequest(filter_text, fields, tuple(prompts or ()), workspace, dry_run=dry_run, yes=yes, as_json=as_json)
    )
