# The index of what can be done here: `make help`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
BOOTSTRAP := .taskloom/bootstrap/$(UV_VERSION)
# The uv that is installed, unless it is older than ours.
FOUND := $(shell uv --version 2>/dev/null | cut -d ' ' -f 2)
UV := $(shell [ -n '$(FOUND)' ] && printf '%s\n' $(UV_VERSION) '$(FOUND)' | sort -VC && echo uv || echo $(BOOTSTRAP)/bin/uv)
PYTHON ?= python3
SERVICES := auth tasks notifications attachments
ARGS ?=

# Our own modules are compiled once, and not again by each of the many processes that import them.
unexport PYTHONDONTWRITEBYTECODE
# Where the home can't be written, or there is none, the cache is here.
ifeq ($(UV_CACHE_DIR),)
ifeq ($(shell { cache=$${XDG_CACHE_HOME:-$${HOME:?}/.cache}/uv; mkdir -p "$$cache" && [ -w "$$cache" ] && echo yes; } 2>/dev/null),)
export UV_CACHE_DIR := $(CURDIR)/.taskloom/cache
endif
endif
# Where the system has certificates of its own, they count: a company's proxy is known there and nowhere else.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= 1
endif

help: ## Show this list
	@grep -hE '^[a-z0-9%-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

install: $(filter-out uv,$(UV)) ## Install everything from the lock, into .venv (quick when nothing changed)
	@$(UV) sync --frozen --all-packages --compile-bytecode --quiet

# pip can do this without venv or ensurepip, and where the system's Python is externally managed.
$(BOOTSTRAP)/bin/uv:
	@echo "Installing uv $(UV_VERSION) into $(BOOTSTRAP)"
	@python=$$(for p in $(PYTHON) /usr/bin/python3; do $$p -m pip --version >/dev/null 2>&1 && echo $$p && break; done); \
	$${python:?no Python with pip was found} -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target $(BOOTSTRAP) 'uv==$(UV_VERSION)'

run: install ## Start everything on this machine (make run ARGS="--ephemeral --port 18080")
	@exec .venv/bin/taskloom up $(ARGS)

test: install ## Run all tests (make test ARGS="-k cursor")
	@.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-%: install ## Run the tests of one service alone, in an environment that has only its own packages
	@$(UV) run --quiet --frozen --isolated --package $*-service --group dev python -m pytest services/$* -n 2 --dist loadfile $(ARGS)

test-gateway: install ## Run the gateway's tests alone, likewise
	@$(UV) run --quiet --frozen --isolated --package gateway --group dev python -m pytest gateway -n 2 --dist loadfile $(ARGS)

test-alone: $(SERVICES:%=test-%) test-gateway ## Run the tests of each service and of the gateway alone

lint: lint-style lint-types lint-layers lint-contracts lint-migrations ## Check style, types, imports, spelling, contracts and migrations

lint-style: install
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/codespell

lint-types: install
	@.venv/bin/mypy

lint-layers: install
	@.venv/bin/lint-imports --no-cache
	@! grep -rniE '\b(assignee|attachment|notification)s?\b' libs/chassis/src --include='*.py' || { echo 'The chassis knows no domain word.'; exit 1; }

lint-contracts: install
	@.venv/bin/taskloom contracts --check

lint-migrations: install
	@.venv/bin/python -m testkit.migrations $(SERVICES:%=services/%)

format: install ## Format the code and mend what can be mended by itself
	@.venv/bin/ruff check --fix --quiet . && .venv/bin/ruff format --quiet .

contracts: install ## Write contracts/ from the code
	@.venv/bin/taskloom contracts

previous-statements: install ## Record what the tasks service asked its database at COMMIT, the last one of the previous release
	@services/tasks/tests/previous/record $(COMMIT)

e2e: install ## Run the end-to-end tests (against TASKLOOM_URL, or a copy that they start)
	@.venv/bin/python -m pytest tests/e2e $(ARGS)

e2e-compose: install ## Build the images, start docker-compose.yml, and run the end-to-end tests against it
	@deploy/e2e-compose

chaos: install ## Kill what runs while people write and read, and count what was lost or done twice (make chaos ARGS="--kills 50")
	@.venv/bin/python tests/chaos/run.py $(ARGS)

# The programs that are measured beside ours are installed here alone, where there are any for the machine.
bench: $(filter-out uv,$(UV)) ## Measure reads, lists, writes and live delivery beside the bare floor, with their bars (needs wrk)
	@$(UV) sync --frozen --all-packages --group bench --compile-bytecode --quiet || $(MAKE) --no-print-directory install
	@.venv/bin/python bench/run.py $(ARGS)

bench-connections: install ## Measure the mixed load while ten thousand connections are kept open at the gateway (needs wrk)
	@.venv/bin/python bench/connections.py $(ARGS)

bench-logins: install ## Measure logins, and other requests while fifty run at once
	@.venv/bin/python bench/logins.py $(ARGS)

bench-many: install ## Measure lists, searches and changes of a workspace that grows to a million tasks
	@.venv/bin/python bench/many.py $(ARGS)

bench-sockets: install ## Measure ten thousand WebSockets: time to connect, memory, delivery under load
	@.venv/bin/python bench/sockets.py $(ARGS)

clean: ## Delete the virtual environment and caches (data in .taskloom/data stays)
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help install run test test-gateway test-alone lint lint-style lint-types lint-layers lint-contracts lint-migrations format contracts previous-statements e2e e2e-compose chaos bench bench-connections bench-logins bench-many bench-sockets clean
