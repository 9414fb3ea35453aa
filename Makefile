# The only menu. `make` prints it. CI and pre-commit call these targets.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run demo test check fmt protos kinds-data sim sim-mutants chaos fuzz bench foreign down clean

help: ## this text
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(f"quorate needs Python 3.11 to 3.13, and {sys.executable} is {v[0]}.{v[1]}: say make PYTHON=python3.12 ...") if not (3, 11) <= v <= (3, 13) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m compileall -q kvstore controlplane cli
	@touch $@

setup: $(STAMP) ## make .venv and install everything

run: $(STAMP) ## set up, then run the cluster of cluster.toml until Ctrl-C
	@$(BIN)/quorate up

demo: $(STAMP) ## on a running cluster: kill the leading master and watch what happens
	@$(BIN)/quorate demo

test: $(STAMP) ## set up, then the whole suite
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

check: $(STAMP) ## format, lint, types, import contracts, generated code fresh
	$(BIN)/ruff format --check kvstore controlplane cli tests
	$(BIN)/ruff check kvstore controlplane cli tests
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/arch

fmt: $(STAMP) ## format and mend what can be mended
	$(BIN)/ruff format kvstore controlplane cli tests
	$(BIN)/ruff check --fix kvstore controlplane cli tests

protos: $(STAMP) ## generate kvstore/pb from protos/
	$(BIN)/python protos/generate.py .

kinds-data: $(STAMP) ## generate the facts of Kubernetes' types from controlplane/api/data/input
	$(BIN)/python controlplane/api/data/generate.py controlplane/api/data

sim: $(STAMP) ## simulate clusters under faults: make sim SEEDS=200 FIRST=1000 JOBS=2
	@$(BIN)/python -m kvstore.testing.sim --seeds $(or $(SEEDS),100) --first $(or $(FIRST),0) --jobs $(or $(JOBS),2)

sim-mutants: $(STAMP) ## is the search good enough to find known mistakes? make sim-mutants SEEDS=30
	@$(BIN)/python -m kvstore.testing.sim --mutants --seeds $(or $(SEEDS),30)

chaos: $(STAMP) ## break real members under checked load: make chaos SEED=7 DURATION=10m
	$(BIN)/quorate chaos $(if $(SEED),--seed $(SEED)) --duration $(or $(DURATION),60s) $(CHAOS_ARGS)

fuzz: $(STAMP) ## coverage-guided fuzzing of the HTTP/2 core: make fuzz SECONDS=60
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	$(BIN)/python tests/fuzz/fuzz_h2.py -max_total_time=$(or $(SECONDS),60) -timeout=10

bench: $(STAMP) ## the store beside etcd, where installed
	@$(BIN)/quorate bench compare

foreign: $(STAMP) ## other clients' own tests against etcd and here: make foreign ETCD=/path/to/etcd SUITES="aetcd etcd3gw"
	$(BIN)/python tests/foreign/run_suites.py --etcd $(or $(ETCD),$(shell command -v etcd)) $(SUITES)

down: ## stop the cluster that was started here
	@$(BIN)/quorate down

clean: ## remove the venv and caches (not .quorate)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
