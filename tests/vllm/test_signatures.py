"""What the normal suite's fakes believe of vLLM is true of the installed one."""

import pytest

from tests.vllm.signatures import installed, recorded

pytestmark = pytest.mark.vllm


def test_the_recorded_names_are_those_of_the_installed_vllm() -> None:
    found = installed()
    # `python -m tests.vllm.signatures` records them again.
    assert {name: found[name] for name in recorded()} == recorded()
