"""vLLM itself, in the environment that `make vllm-env` makes; `make test-vllm` runs these tests."""
