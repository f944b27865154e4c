"""Completions that begin with their own prompt: text-generation pipelines return the prompt with the continuation."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SHORTEST: Final = 16
"""Characters of a prompt that is looked for; shorter ones may begin an answer by chance."""
_SHORTEST_INSIDE: Final = 60
"""Characters of a prompt that is reported if it stands inside the completion, where it is not cut off."""
_OPEN: Final = r"(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|?|\[|#{2,3} ?)?"
_CLOSE: Final = r"(?:<\|end_header_id\|>|\|?>|\]|:)?"
_END: Final = r"(?:<\|im_end\|>|<\|eot_id\|>|<end_of_turn>|</s>)?"
_HEADER: Final = re.compile(
    rf"\s*(?:<\|begin_of_text\|>|<s>)?\s*(?:{_OPEN}system{_CLOSE}\s.*{_END}\s*)?{_OPEN}(?:user|human|instruction){_CLOSE}\s*",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST_HEADER: Final = 20_000
_ANSWER_HEADER: Final = re.compile(
    rf"\s*{_END}\s*{_OPEN}(?:assistant|model|gpt|response){_CLOSE}(?:\s*\n|[ \t]+|$)", re.IGNORECASE
)
_TEMPLATE_START: Final = re.compile(r"(?:^|.*\n)user\n(.*)$", re.IGNORECASE | re.DOTALL)
_TEMPLATE_END: Final = re.compile(r"\nassistant\s*(?:<think>\s*)?$", re.IGNORECASE)


def repeated_prompt_end(completion: str, prompt: str, question: str = "") -> int:
    """Return where a completion goes on after its own prompt; 0 if it does not begin with it.

    Args:
        completion: the text.
        prompt: the whole prompt.
        question: what the user asked last, if the prompt has other turns too.
    """
    for asked in _forms(prompt, question):
        start = completion.find(asked, 0, _LONGEST_HEADER + len(asked))
        if start < 0 or not (start == 0 or not completion[:start].strip() or _HEADER.fullmatch(completion, 0, start)):
            continue
        end = start + len(asked)
        answer = _ANSWER_HEADER.match(completion, end)
        return answer.end() if answer is not None else end
    return 0


def repeats_prompt_inside(completion: str, prompt: str, question: str = "") -> bool:
    """Return whether a long prompt stands inside a completion, for instance because the model quotes it."""
    return any(len(asked) >= _SHORTEST_INSIDE and asked in completion for asked in _forms(prompt, question))


@lru_cache(maxsize=4)  # both questions are asked of each rollout
def _forms(prompt: str, question: str) -> tuple[str, ...]:
    """The texts by which a completion may repeat its prompt: whole, or only the user's turn of a rendered template."""
    inner = _TEMPLATE_START.match(_TEMPLATE_END.sub("", prompt)) if "user\n" in prompt.lower() else None
    forms = (prompt.strip(), question.strip(), inner[1].strip() if inner else "")
    return tuple(form for form in dict.fromkeys(forms) if len(form) >= _SHORTEST)
