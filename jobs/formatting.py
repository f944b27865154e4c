"""Durations and progress as text, for reasons of states, commands and screens."""

from pipelines.folder import Progress
from pipelines.text_safety import one_line


def format_duration(seconds: float, *, precise: bool = False) -> str:
    """Format a duration as `45 s`, `12 min`, `3 h 05 min` or `2 d 04 h`.

    Args:
        seconds: negative counts as 0.
        precise: give seconds up to an hour, as `12 min 5 s`, and minutes above: for a time that a person waits for.
    """
    if precise:
        return _format_precisely(max(0, round(seconds)))
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02d} h"


def _format_precisely(whole: int) -> str:
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_megabytes(megabytes: float) -> str:
    """Format an amount of memory or disk: `0.2 MB`, `820 MB`, `12.4 GB`."""
    if megabytes < 10:
        return f"{megabytes:.1f} MB"
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1024:.1f} GB"


def format_progress(progress: Progress | None) -> str:
    """Format progress as `40/100 steps`, or `40 steps` if the total is unknown; empty without progress."""
    if progress is None:
        return ""
    total = f"/{progress.total:g}" if progress.total > 0 else ""
    return one_line(f"{progress.done:g}{total} {progress.unit}")
