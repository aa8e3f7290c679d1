# Every target sets up what it needs on a machine with only Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOME_DIR ?= demo-home
SERVE ?= 1
SIZE ?= town
PORT ?=
FUZZ_SECONDS ?= 60
PORT_OPTION := $(if $(PORT),--port $(PORT),)
VENDOR := engine/web/static/vendor/manifest.json

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-deep check bench fuzz spark assets lock clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /  /' | sort

$(VENV)/.runtime: requirements.lock pyproject.toml
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

$(VENDOR): $(VENV)/.runtime package-lock.json scripts/assets.py
	$(BIN)/python scripts/assets.py

assets: $(VENDOR) ## Build the front-end files

demo: $(VENDOR) ## Run the main job on a synthetic town, then serve it (SERVE=0 to stop there)
	$(BIN)/fieldgate demo --size $(SIZE) --home $(HOME_DIR) --no-serve
ifneq ($(SERVE),0)
	$(BIN)/fieldgate serve --home $(HOME_DIR) $(PORT_OPTION)
endif

serve: $(VENDOR) ## Serve the demo home (PORT=8321)
	$(BIN)/fieldgate serve --home $(HOME_DIR) $(PORT_OPTION)

test: $(VENV)/.dev $(VENDOR) ## Run the tests that every change must pass
	$(BIN)/python -m pytest tests -n auto -m "not deep"

test-deep: $(VENV)/.dev $(VENDOR) ## Run the slow tests: PostgreSQL, browser, kill matrix
	$(BIN)/python -m pytest tests -m deep

check: $(VENV)/.dev ## Format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev ## Measure every claim of speed and of linkage quality against its floor or peer
	$(BIN)/python -m bench
	$(BIN)/python -m bench.linkage_quality
	$(BIN)/python -m bench.linkage_scale
	$(BIN)/python -m bench.unusual
	$(BIN)/python -m bench.durable

fuzz: $(VENV)/.dev ## Feed reading with bytes that coverage leads to, FUZZ_SECONDS=60
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-fuzz.lock
	$(BIN)/python -m tests.fuzz.fuzz_intake -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -verbosity=0

spark: $(VENV)/.dev ## Install Spark for the test of its linker (450 MB; needs Java 17)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-spark-build.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --no-build-isolation -r requirements-spark.lock

lock: ## Resolve the lock files again (needs uv)
	bash scripts/lock.sh

clean: ## Remove the environment and what was built
	rm -rf $(VENV) node_modules engine/web/static/vendor demo-home
