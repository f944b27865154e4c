"""`ModelRewriter`: rewrites documents with a language model, live or in batches; a resume pays for no reply again."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from pipelines.behaviors.judges.llm.view import nonce_of, shown
from pipelines.corpus.classify.document_judges import read_prompt
from pipelines.corpus.curate.rewriting import SCHEMA, RewriteDialogue, RewritePrompts, RewriteResult, RewriteSource
from pipelines.corpus.curate.selection import SetName
from pipelines.files import canonical_json
from pipelines.llm.clients.connect import connect
from pipelines.llm.clients.protocol import ModelSpec
from pipelines.llm.prices import Price, find_price
from pipelines.llm.requests import ModelRequest
from pipelines.llm.run_dialogues import RequestSettings, run_dialogues


class ModelRewriter:
    """Rewrites documents by requests to a language model.

    Args:
        spec: service and name of the model.
        asking: settings of the requests.
        max_tokens: limit of a reply.
        temperature: None for the default of the service.
        prices: a price table of the user's.
        work: folder of replies and batches.
    """

    def __init__(
        self,
        spec: ModelSpec,
        asking: RequestSettings,
        *,
        max_tokens: int,
        temperature: float | None,
        prices: Path | None,
        work: Path,
    ) -> None:
        self._spec = spec
        self._asking = asking
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._price: Price | None = find_price(spec.provider, spec.model, prices)
        self._work = work
        self.prompts = RewritePrompts(
            system=read_prompt("rewrite_system"),
            rewrite=read_prompt("rewrite"),
            manner={"owm_rich": read_prompt("rewrite_keep"), "owm_minimised": read_prompt("rewrite_omit")},
        )

    @property
    def sha256(self) -> str:
        """SHA-256 of all prompts."""
        texts = [self.prompts.system, self.prompts.rewrite, dict(self.prompts.manner)]
        return hashlib.sha256(canonical_json(texts).encode()).hexdigest()

    def rewrite(self, sources: Iterable[RewriteSource], kind: SetName) -> Iterator[RewriteResult]:
        """Yield the results in the order in which requests finish.

        Raises:
            CogtuiError: as `pipelines.llm.run_dialogues.run_dialogues`.
        """
        self._work.mkdir(parents=True, exist_ok=True)
        dialogues = (RewriteDialogue(source, kind, self._ask(source, kind)) for source in sources)
        finished = run_dialogues(dialogues, self._asking, partial(connect, self._spec), self._price, self._work)
        with closing(finished):
            for dialogue in finished:
                yield dialogue.rewritten()

    def _ask(self, source: RewriteSource, kind: SetName) -> ModelRequest:
        text = source.text
        return ModelRequest(
            system=self.prompts.system,
            shared="",
            question=self.prompts.question(kind, shown(text), nonce_of(text)),
            schema=SCHEMA,
            max_tokens=self._max_tokens,
            temperature=self._temperature,
        )
