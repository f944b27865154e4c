"""Choice of the client for a model; an SDK is imported when its client is built."""

from importlib.util import find_spec

from pipelines.errors import MissingRequirement
from pipelines.llm.clients.protocol import MAX_RETRIES, ModelClient, ModelSpec, api_key


def connect(spec: ModelSpec, *, max_retries: int = MAX_RETRIES, timeout_s: float = 600.0) -> ModelClient:
    """Build the client of a model, with its key from the environment.

    Raises:
        MissingRequirement: the key's variable is not set, or the extra `judges` is not installed.
    """
    key = api_key(spec)
    try:
        if spec.provider == "anthropic":
            from pipelines.llm.clients.anthropic_api import AnthropicClient

            return AnthropicClient(spec, key, max_retries, timeout_s)
        from pipelines.llm.clients.openai_api import OpenAIClient

        return OpenAIClient(spec, key, max_retries, timeout_s)
    except ModuleNotFoundError as error:
        raise MissingRequirement(
            f"{spec} needs the package {error.name}, which is not installed",
            remedy="Install the extra: pip install 'cogtui[judges]'",
        ) from error


def require_sdk(spec: ModelSpec) -> None:
    """Check that the SDK of a service is installed, without importing it.

    Raises:
        MissingRequirement: it is not installed; names the extra.
    """
    package = "anthropic" if spec.provider == "anthropic" else "openai"
    if find_spec(package) is None:
        raise MissingRequirement(
            f"{spec} needs the package {package}, which is not installed",
            remedy="Install the extra: pip install 'cogtui[judges]'",
        )
