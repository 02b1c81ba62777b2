# Two commands for a new user: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
ENV := $(if $(PROVIDER),PROVIDER=$(PROVIDER))
CODE := core storage ingestion features trading backtest research ml monitoring pipeline desk serving dags feature_repo tests setup.py
SUITE := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -q
COMPILE_ANY := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links
COMPILE := $(COMPILE_ANY) --group dev pyproject.toml
COMPILE_PEERS := $(COMPILE_ANY) requirements-peers.in

CHROMIUM := command -v chromium > /dev/null || { test "$$(id -u)" = 0 || { echo "Chromium is missing and only root may install it. Run 'apt-get install chromium', then this again."; exit 1; }; apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core; }

.DEFAULT_GOAL := help
.PHONY: help install demo up test coverage test-deep test-browser bench bench-views bench-dashboard bench-serving bench-peers simulate-ab simulate-performance oracle peers chaos wheel configuration lint check format lock lock-check clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: .venv/installed  ## Create .venv and install the locked, hashed dependencies

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed; this is " + sys.version.split()[0] + ". Run: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^[A-Za-z0-9]/ {on = /^uv==/} on' requirements.lock > .venv/uv.txt
	@echo "Installing the locked dependencies into .venv ..."
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.txt
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync -q --compile-bytecode --require-hashes requirements.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@

demo: install  ## Run the whole pipeline once and print the result (PROVIDER=sample, yfinance or files)
	@$(ENV) $(BIN)/desk demo

up: install  ## Start Airflow, MLflow and the API on loopback; Ctrl-C stops everything
	@$(ENV) $(BIN)/python -m desk.ops.up

test: install  ## The whole test suite, in parallel
	@$(SUITE)

coverage: install  ## The same with coverage, which must reach 90 %
	@COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') $(SUITE) --cov --cov-report=term

test-deep: install  ## Property tests on ten times the examples, and the tests that run for minutes: long chaos runs
	@HYPOTHESIS_PROFILE=deep $(SUITE) -m "hypothesis or deep"

test-browser: install  ## The dashboard in a real browser; installs Debian's Chromium when it is missing
	@$(CHROMIUM)
	@BROWSER_TESTS=1 $(BIN)/python -m pytest -q tests/browser

bench: install  ## Time the bar store, the features, the feature store, the replay of past sessions
	@set -e; for name in bars features feast replay; do $(BIN)/python -m tests.bench.$$name; done

simulate-performance: install  ## Simulate live years after a backtest and write the tables of docs/performance.md
	@$(BIN)/python -m tests.simulate.performance

simulate-ab: install  ## Simulate A/B tests and write the tables of docs/ab-testing.md
	@$(BIN)/python -m tests.simulate.ab_testing

bench-views: install  ## Time the views of money and risk over ten years of three books
	@$(BIN)/python -m tests.bench.views

bench-dashboard: install  ## Time the dashboard in Chromium and write the tables of docs/dashboard.md (DAY=1: a day of refreshes)
	@$(CHROMIUM)
	@$(BIN)/python -m tests.bench.dashboard $(if $(DAY),--day)

bench-serving: install  ## Time the API beside an empty route and mlflow, and write the table of docs/serving.md
	@$(BIN)/python -m tests.bench.serving

peers: .venv-peers/installed  ## Create .venv-peers: other backtesters to compare with, never a dependency

.venv-peers/installed: requirements-peers.lock | install
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@echo "Installing the peers into .venv-peers ..."
	@VIRTUAL_ENV=.venv-peers $(BIN)/uv pip sync -q --compile-bytecode --require-hashes requirements-peers.lock
	@touch $@

bench-peers: peers  ## Time the engine against the peers and write the table of docs/benchmarks.md
	@$(BIN)/python -m tests.bench.peers.compare

oracle: peers  ## Compare trade lists with backtesting.py and write the counts of docs/benchmarks.md
	@$(BIN)/python -m pytest -q tests/oracle
	@$(BIN)/python -m tests.oracle.report

chaos: install  ## Kill the daily execution on random schedules and write docs/exactly-once.md
	@$(BIN)/python -m tests.chaos.run

wheel: install  ## Build the wheel, install it with the locked libraries elsewhere, and run the demo from there
	@rm -rf build .wheel && mkdir .wheel
	@$(BIN)/uv build -q --wheel --no-build-isolation --python $(BIN)/python -o .wheel
	@tests/wheel.sh .wheel/*.whl

configuration: install  ## Write docs/configuration.md and .env.example from the settings
	@$(BIN)/python -m core.settings_document

lint: install lock-check  ## Format, lint, types, import rules, lock file
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test  ## Everything CI checks

format: install  ## Format and fix what can be fixed
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

lock: install  ## Compile requirements.lock anew, upgrading
	@$(COMPILE) --upgrade -o requirements.lock
	@$(COMPILE_PEERS) --upgrade -o requirements-peers.lock

lock-check: install
	@cp requirements.lock .venv/lock.txt && $(COMPILE) -o .venv/lock.txt
	@cmp -s requirements.lock .venv/lock.txt || { echo "requirements.lock is stale: run 'make lock'"; exit 1; }

clean:  ## Remove the environment and all local data
	rm -rf .venv .venv-peers .wheel .local
