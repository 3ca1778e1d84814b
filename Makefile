# Everything a person types. Needs Python >= 3.11 and make; Node only for `make tools` and what follows from it.
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-fast check fuzz prove bench lock tools compile forge brownie-env brownie clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check --quiet --quiet
STAMP  := $(VENV)/.installed

# Flower must not phone home, and nothing here may fetch at run time.
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1

help:
	@echo "make setup   make .venv and install everything the lock pins (again only when the lock changed)"
	@echo "make demo    one paid, audited training on real images      DEMO='--trainers 12' adds options"
	@echo "make test    the tests that need Python only                 PYTEST='-k payout' adds options"
	@echo "make test-fast  those of them that need no chain: about a minute"
	@echo "make check   style, types, floors, compiled contracts against their sources"
	@echo "make fuzz    random honest rounds that no claim may refute ROUNDS=2000 SEED=1"
	@echo "make prove   the operations of cells, for all operands       OP='ROOT DIV' proves some"
	@echo "make bench   the benchmarks by name                         NAME=gas runs one"
	@echo "make tools   npm tools: compiler, forge, anvil, ganache      (needs Node 20)"
	@echo "make forge   the Solidity tests                             FORGE='--match-test claim' adds options"
	@echo "make brownie Brownie in its own environment                 ARGS='run deploy_brownie --network fl-sepolia'"
	@echo "make lock    resolve the dependencies again                  (after an edit of pyproject.toml)"

setup: $(STAMP)

# Three steps, because pip's hash mode is all or nothing: torch's builds share a version, not a hash (requirements/torch.txt).
$(STAMP): requirements/lock.txt requirements/torch.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no python3 found: install Python 3.11 or newer, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$("$(PYTHON)" --version) is too old: Python 3.11 or newer is needed; say make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(PY) || "$(PYTHON)" -m venv $(VENV)
	@echo "setting up $(VENV): a few minutes and about 1 GB the first time"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/lock.txt
	@$(PIP) install -r requirements/torch.txt -c requirements/torch.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	$(PY) -m fl_platform demo $(DEMO)

# One worker a core, up to eight (each is 0.7 GB); PYTEST='-n 0' runs in one process, as a debugger needs it.
test: setup
	$(PY) -m pytest -q -n auto --maxprocesses 8 --dist worksteal -m "not node and not slow" $(PYTEST)

# What needs no chain and trains nothing: about a minute.
test-fast: setup
	$(PY) -m pytest -q -n auto --maxprocesses 8 --dist worksteal -m "not node and not slow" tests/unit/test_*.py \
		tests/unit/protocol tests/unit/rules tests/unit/updates tests/unit/store tests/unit/sinks $(PYTEST)

check: setup
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) scripts/generate_docs.py --check
	$(PY) scripts/generate_language.py --check
	$(PY) scripts/compile.py --sources
	@if test -d node_modules/solc && command -v node >/dev/null; then \
		echo "$(PY) scripts/compile.py --check" && $(PY) scripts/compile.py --check && \
		echo "forge fmt --check" && node_modules/.bin/forge fmt --check; \
	else echo "compiled contracts were not rebuilt: no npm tools here (make tools)"; fi
	$(PY) -m pytest -q tests/unit/test_floors.py tests/unit/test_repository.py

fuzz: setup
	$(PY) -m tests.support.honest_rounds --rounds $(or $(ROUNDS),2000) --seed $(or $(SEED),1)

prove: setup
	$(PIP) install --require-hashes -r requirements/prove.txt
	$(PY) scripts/prove_operations.py $(OP)

bench: setup
	$(PY) scripts/benchmark.py $(or $(NAME),--list) $(if $(NAME),--json bench-$(NAME).json) $(BENCH)

tools: node_modules/.package-lock.json

node_modules/.package-lock.json: package.json package-lock.json
	@command -v npm >/dev/null || { echo "npm is not installed: install Node 20 or newer" >&2; exit 1; }
	npm ci
	@touch $@

compile: setup tools
	$(PY) scripts/compile.py

forge: tools
	node_modules/.bin/forge test $(FORGE)

# Brownie pins 83 packages exactly, so it lives apart; its home and its compilers too, to leave the user's alone.
BROWNIE_HOME := $(CURDIR)/.venv-brownie/home
BROWNIE_ENV  := HOME=$(BROWNIE_HOME) SOLCX_BINARY_PATH=$(CURDIR)/.venv-brownie/solcx
BROWNIE_PIP  := .venv-brownie/bin/python -m pip --disable-pip-version-check --quiet --quiet
brownie-env: .venv-brownie/.installed

.venv-brownie/.installed: requirements/brownie.txt scripts/node_tools/solc scripts/node_tools/brownie-networks.yaml package.json
	@test -x .venv-brownie/bin/python || "$(PYTHON)" -m venv .venv-brownie
	@echo "setting up .venv-brownie"
	@$(BROWNIE_PIP) install --require-hashes -r requirements/brownie.txt
	@rm -rf $(BROWNIE_HOME) && mkdir -p $(BROWNIE_HOME) .venv-brownie/solcx
	@ln -sfn ../../scripts/node_tools/solc .venv-brownie/solcx/solc-v$$(sed -n 's/.*"solc": "\(.*\)".*/\1/p' package.json)
	@$(BROWNIE_ENV) .venv-brownie/bin/brownie networks import scripts/node_tools/brownie-networks.yaml >/dev/null
	@$(BROWNIE_ENV) .venv-brownie/bin/brownie networks list | grep fl-sepolia >/dev/null  # Brownie exits 0 when an import fails
	@touch $@

# make brownie ARGS='run deploy_brownie --network fl-sepolia'
# Brownie stops at a build whose source file is gone, so an edited contracts/ starts it afresh.
brownie: brownie-env tools
	@mkdir -p build
	@test -z "$$(find contracts -newer build/.brownie 2>/dev/null || echo new)" || rm -rf build/contracts
	@touch build/.brownie
	$(BROWNIE_ENV) .venv-brownie/bin/brownie $(or $(ARGS),compile)

# Versions already in a lock stay where they are unless UPGRADE=--upgrade.
UV_PIN = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate $(UPGRADE)
UV_COMPILE = $(UV_PIN) pyproject.toml -c requirements/torch.txt --no-emit-package torch
EXTRAS := --extra dev --extra fast --extra sim --extra data --extra sinks
lock: setup
	$(UV_COMPILE) $(EXTRAS) -o requirements/lock.txt
	$(UV_COMPILE) $(EXTRAS) --extra ipfs -c requirements/lock.txt -o requirements/ipfs.txt
	$(UV_COMPILE) --extra brownie -o requirements/brownie.txt
# Botocore wants an older python-dateutil than the lock has; all else stays as the lock has it.
	@mkdir -p build && sed -n '/^python-dateutil=/d; /^[a-z]/s/ \\$$//p' requirements/lock.txt > build/lock-for-s3.txt
	$(UV_PIN) --group s3-service -c build/lock-for-s3.txt -o requirements/s3.txt
	$(UV_PIN) --group prove -o requirements/prove.txt

clean:
	rm -rf build *.egg-info .mypy_cache .ruff_cache .pytest_cache forge-out forge-cache
