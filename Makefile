# What people type.  Everything runs in .venv, with exactly the versions of requirements.lock.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)/bin/uv)
DIRECTORS ?=
WORKERS ?= 3
export PYTHONWARNINGS ?= ignore
# One model process uses the cores it has; more threads than cores only wait for each other.
export TOKENIZERS_PARALLELISM ?= false
# Python keeps what it compiles, whatever the surroundings say: what imports diffusers starts 9 s sooner.
unexport PYTHONDONTWRITEBYTECODE

# Dagster and the store sync at each event and file: tests that do it in memory, where there is plenty, wait for no disk.
IN_MEMORY = $(shell [ "$$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)" -ge 6000000 ] 2>/dev/null \
	&& echo PYTEST_DEBUG_TEMPROOT=/dev/shm)

.PHONY: demo dev app mini test lint audit format schemas lock install install-dev install-quantised

demo: install            ## the whole graph for the demo directors, or DIRECTORS="nolan"
	@$(BIN)/director run $(DIRECTORS)

dev: install             ## Dagster UI and daemon on http://127.0.0.1:3000
	@$(BIN)/director dev

app: install             ## the studio on http://127.0.0.1:7860, over the same store
	@$(BIN)/director app

mini: install            ## train the mini set again (about three hours of one core) and ship it in models/mini
	@$(BIN)/director build-base mini --export models/mini

test: install-dev $(VENV)/.quantised  ## every test, by workers of one thread: one more than two cores, as some wait
	@$(IN_MEMORY) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
	@PYTHONPATH=$(VENV)/quantised $(BIN)/python -m pytest -m quantised $$(grep -rl --include='*.py' mark.quantised tests)

lint: install-dev        ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: install           ## whether what is pinned has known vulnerabilities; says so where nobody can be asked
	@$(BIN)/python .ci/audit.py

format: install-dev      ## rewrite files as the linter wants them
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

schemas: install         ## configs/schemas from the specs
	@$(BIN)/python -c "from pathlib import Path; from director_diffusion.catalog import write_schemas; write_schemas(Path('configs/schemas'))"

lock: $(VENV)/.uv        ## requirements*.lock from pyproject.toml
	@$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra dev --extra ray --extra k8s \
		--custom-compile-command "make lock" -o requirements.lock pyproject.toml
	@echo "bitsandbytes>=0.46" | $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-deps --custom-compile-command "make lock" -o requirements-quantised.lock -

install-quantised: install  ## bitsandbytes too, for the recipes that want 8-bit AdamW or a base in 4 bits
	@$(UV) pip install -q --python $(BIN)/python --no-deps --require-hashes -r requirements-quantised.lock

install: $(VENV)/.installed
install-dev: $(VENV)/.installed $(VENV)/.browser

$(VENV)/.uv:
	@command -v uv >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null 2>&1 || $(VENV)/bin/pip install -q uv
	@test -x $(BIN)/python || uv venv -q --python $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/.uv
	@$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# Beside the environment, not in it: peft imports bitsandbytes wherever it finds it, which costs every start seconds.
$(VENV)/.quantised: requirements-quantised.lock | $(VENV)/.installed
	@$(UV) pip install -q --python $(BIN)/python --target $(VENV)/quantised --no-deps --require-hashes -r $<
	@touch $@

# The UI tests drive Debian's Chromium; where it cannot be installed they skip and say so.
$(VENV)/.browser:
	@command -v chromium >/dev/null 2>&1 || { command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ] \
		&& apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || true
	@touch $@
