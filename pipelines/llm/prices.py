"""Prices of models, from a table that users can replace. The cost of a model without a price is unknown, not zero."""

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pipelines.errors import CogtuiError, InvalidInput
from pipelines.llm.ledger import Ledger
from pipelines.llm.requests import ModelRequest, TokenUsage

_LIKELY_CHARACTERS: Final = 3.0
"""ASCII characters per token in traces with many numbers; prose has four, digits two."""
_FEWEST_CHARACTERS: Final = 2.0
_MILLION: Final = 1_000_000
_CENT: Final = 0.01
_RELEASE = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-latest|@.+)?")
"""Suffixes of other releases of the same model; a name with another suffix is another model."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float
    cached_input: float
    batch: float = 0.5
    """Factor on all prices in a batch."""
    cache_write: float | None = None
    """Price of input written to the prompt cache; None if equal to `input`."""

    def cost(self, usage: TokenUsage, *, batch: bool) -> float:
        """Return the cost of some tokens, in US dollars."""
        write = self.input if self.cache_write is None else self.cache_write
        fresh = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
        dollars = (
            fresh * self.input
            + usage.cached_tokens * self.cached_input
            + usage.cache_write_tokens * write
            + usage.output_tokens * self.output
        )
        return dollars / _MILLION * (self.batch if batch else 1.0)

    def ledger_cost(self, ledger: Ledger) -> float:
        """Return the cost of all replies in a ledger, in US dollars."""
        return self.cost(ledger.usage, batch=False) + self.cost(ledger.batch_usage, batch=True)


FREE_PRICE: Final = Price(0.0, 0.0, 0.0, 1.0)
"""Price of a model on a machine of one's own."""


def max_usage(request: ModelRequest) -> TokenUsage:
    """Return the most tokens a request may reasonably take: dense text, nothing cached, the longest answer."""
    tokens = _tokens(request, _FEWEST_CHARACTERS, worst=True)
    return TokenUsage(tokens, output_tokens=request.max_tokens, cache_write_tokens=tokens if request.shared else 0)


def estimate_usage(request: ModelRequest, output_tokens: int) -> TokenUsage:
    """Return the tokens of a request with an answer of this length and nothing cached."""
    tokens = _tokens(request, _LIKELY_CHARACTERS, worst=False)
    return TokenUsage(tokens, output_tokens=min(output_tokens, request.max_tokens))


def _tokens(request: ModelRequest, ascii_characters: float, *, worst: bool) -> int:
    """Estimate the tokens of all texts. A non-ASCII character is often one token, and at most as many as its bytes."""
    tokens = 8.0 * (1 + len(request.turns))  # roles and separators
    for text in request.billed_texts():
        size = len(text.encode("utf-8", "surrogatepass"))
        others = 0 if size == len(text) else sum(char > "\x7f" for char in text)
        plain = len(text) - others
        tokens += plain / ascii_characters + (size - plain if worst else others)
    return round(tokens)


def find_price(provider: str, model: str, table: Path | None = None) -> Price | None:
    """Find the price of a model in a user's table, else in the one that comes with cogtui.

    Models are looked up by exact name, or as a dated release of a name. None means the price is unknown.

    Raises:
        InvalidInput: the table cannot be read, or an entry is not a price.
    """
    if provider == "vllm" and table is None:
        return FREE_PRICE
    source = table or files("pipelines.llm") / "prices.toml"
    try:
        entries = tomllib.loads(source.read_text(encoding="utf-8")).get(provider, {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"the price table {source} cannot be read: {error}") from error
    names = [name for name in entries if model.startswith(name) and _RELEASE.fullmatch(model[len(name) :])]
    if not names:
        return None
    name = max(names, key=len)
    return _read_price(entries[name], f"{source}: the price of {name}")


def _read_price(entry: Any, where: str) -> Price:
    shape = "Write { input = 2.5, cached_input = 1.25, output = 10.0 }, US dollars per million tokens."
    if not isinstance(entry, dict):
        raise InvalidInput(f"{where} is not a table", remedy=shape)
    for field, value in entry.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise InvalidInput(f"{where}: {field} is {value!r}, not a number of dollars", remedy=shape)
    try:
        return Price(**{field: float(value) for field, value in entry.items()})
    except TypeError as error:
        raise InvalidInput(f"{where} is not complete: {str(error).partition(' ')[2]}", remedy=shape) from error


class SpendingCapReached(CogtuiError):
    """The next request could cost more than the remaining budget."""

    code = "spending_cap"


class Budget:
    """Keeps spending under a cap. Requests in flight count with their highest possible cost.

    Args:
        price: of the model; None if unknown.
        cap: US dollars; None for no limit.
        spent: US dollars spent by earlier runs of the same work.

    Raises:
        InvalidInput: a cap without a price.
    """

    def __init__(self, price: Price | None, cap: float | None, spent: float = 0.0) -> None:
        if cap is not None and price is None:
            raise InvalidInput(
                "a spending cap needs the model's price",
                remedy="Write a price table with this model and set `prices` to its path.",
            )
        self.price = price
        self._cap = cap
        self.spent = spent
        self._reserved = 0.0

    def worst_cost(self, request: ModelRequest, *, batch: bool) -> float:
        """Return the highest cost of a request, in US dollars; 0 without a cap."""
        if self.price is None or self._cap is None:
            return 0.0
        return self.price.cost(max_usage(request), batch=batch)

    def has_room_for(self, need: float) -> bool:
        """Return whether this much more stays under the cap, with reservations counted in full."""
        return self._cap is None or self.spent + self._reserved + need <= self._cap

    def reserve(self, need: float) -> None:
        """Reserve the highest cost of a request."""
        self._reserved += need

    def settle(self, reserved: float, usage: TokenUsage, *, batch: bool) -> None:
        """Replace a reservation by the actual usage."""
        self._reserved -= reserved
        if self.price is not None:
            self.spent += self.price.cost(usage, batch=batch)

    def cap_error(self, need: float) -> SpendingCapReached:
        """Return the error for a request that exceeds the cap."""
        limit = self._cap or 0.0
        cap = f"{limit:.2f}" if limit >= _CENT else f"{limit:g}"
        return SpendingCapReached(
            f"the spending cap of ${cap} is reached: ${self.spent:.4f} spent",
            detail=f"The next request may cost up to ${need:.4f}. Every answer received so far is kept.",
            remedy="Raise the cap and run the same command again; it continues.",
        )
