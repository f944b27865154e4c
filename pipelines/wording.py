"""Numbers of things, and sizes, in words."""


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one: `1 stage`, `1,200 stages`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def not_done(number: int, total: int, noun: str) -> str:
    """Return that some of several things are not done: `1 of 2 stages is not done`, `the stage is not done`."""
    if total == 1:
        return f"the {noun} is not done"
    return f"{number:,} of {count_of(total, noun)} {'is' if number == 1 else 'are'} not done"


def bytes_text(number: float) -> str:
    """Return a size: `6.2 GB`, or `48.0 MB` below one."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
