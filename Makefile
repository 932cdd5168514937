# Loam's commands. `make demo` and `make test` need nothing but Python 3.11 or newer and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME := $(CURDIR)/.dagster
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# What activating the environment sets; without it, `dg` warns.
export VIRTUAL_ENV := $(abspath $(VENV))

.DEFAULT_GOAL := help
.PHONY: help setup demo ui test test-browser check bench clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(VENV)/.warmed ## Make the virtual environment, install, compile the numba functions

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable ".[dev]"
	@touch $@

# What the tests hold Loam against, and the optional engines: not needed to run it.
$(VENV)/.peers: $(VENV)/.installed
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable ".[api,dev,hf,peers,ray,s3]"
	@touch $@

# Machine code depends on all that its module imports; where nothing is stale, warming takes seconds.
SOURCES := $(shell find lm pipelines -name '*.py')

$(VENV)/.warmed: $(VENV)/.installed $(SOURCES)
	$(BIN)/python -m pipelines.warm
	@touch $@

demo: setup ## Grow a small model from the built-in crawl, every asset, on a CPU
	$(BIN)/python -m assets.demo

ui: setup ## Look at it: Dagster on http://127.0.0.1:3000
	@$(BIN)/python -m assets prepare
	$(BIN)/dg dev --no-check-yaml --host 127.0.0.1 --port 3000

$(VENV)/.browser: $(VENV)/.installed
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable ".[dev,browser]"
	@touch $@

test-browser: setup $(VENV)/.browser ## Try the UI in a Chromium: launch, look, cancel, go on
	LOAM_BROWSER_TESTS=1 $(BIN)/python -m pytest -v tests/browser

test: setup $(VENV)/.peers ## Run all tests
	$(BIN)/python -m pytest -q

check: setup $(VENV)/.peers ## Lint, format and type checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup $(VENV)/.peers ## Run every benchmark; results go to benchmarks/results
	$(BIN)/python -m benchmarks

clean: ## Remove the virtual environment, caches and everything that was materialized
	rm -rf $(VENV) .dagster .loam .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
