# Two commands matter: `make demo` and `make test`. Each sets up everything that it needs, in this checkout only.
# It takes Python 3.11 to 3.14, make, git, and an index of packages for pip and for npm.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
PY := $(VENV)/bin/python
PAGE := src/clew/server/static/index.html
TOOLS := $(abspath $(VENV))/node
UI_SOURCES := $(shell find ui -type f -not -path 'ui/node_modules/*' 2>/dev/null)
# Two workers on two cores; a file stays in one worker, so that a module's fixtures are made once.
WORKERS ?= 2
export PATH := $(TOOLS):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo test check lint types contracts ui-check pytest torture bench lock api reference system clean

help: ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.installed $(PAGE) ## a .venv in the checkout, and the built web page

demo: install ## real flights: a model from raw files to served answers (EXIT=1 leaves at the end, YEAR=1 goes on to December)
	@$(PY) examples/flights/demo.py $(if $(EXIT),--exit) $(if $(YEAR),--until 2014-01-01) $(DEMO)

test: install system check pytest ## everything that CI runs

check: lint types contracts ui-check ## what needs no running program: style, types, import contracts, the page's own checks

lint: $(VENV)/.installed
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

types: $(VENV)/.installed
	@$(VENV)/bin/mypy && $(VENV)/bin/mypy examples/flights/flights.py
	@if [ -f examples/flights/flights.py ]; then $(PY) -m pyright --pythonpath $(PY) examples/flights/flights.py; fi

contracts: $(VENV)/.installed
	@$(VENV)/bin/lint-imports --no-cache

ui-check: $(PAGE)
	@if [ -f ui/package.json ]; then cd ui && npm run --silent check; fi

pytest: install
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

system: ## PostgreSQL, Redis and Chromium for the tests, where they may be installed
	@.ci/system

torture: install system ## kill everything at random for as long as you let it (FOR=seconds)
	@$(PY) tests/end_to_end/torture.py $(if $(FOR),--seconds $(FOR))

bench: install ## Clew beside its peers, each pair in one run
	@for file in benchmarks/bench_*.py; do $(PY) $$file; done

lock: $(VENV)/.installed ## renew requirements/ and ui/package-lock.json, without the address of any index
	@$(VENV)/bin/uv pip compile --upgrade --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--custom-compile-command "make lock" --extra dev pyproject.toml -o requirements/dev.txt
	@$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--custom-compile-command "make lock" --constraint requirements/dev.txt pyproject.toml -o requirements/runtime.txt

api: $(VENV)/.installed ui/node_modules/.installed ## renew the page's types from the operations
	@$(PY) -m clew.server.openapi > ui/openapi.json && cd ui && npm run --silent api

reference: $(VENV)/.installed ## renew docs/reference from the docstrings
	@$(PY) docs/make_reference.py

clean: ## remove what make made
	rm -rf $(VENV) ui/node_modules src/clew/server/static build dist

$(VENV)/bin/python:
	@.ci/make-venv $(VENV)

$(VENV)/.installed: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked Python packages (a minute or two the first time)"
	@$(PY) -m pip install -q -q --require-hashes -r requirements/dev.txt
	@$(PY) -m pip install -q -q --no-deps --no-build-isolation --editable .
	@.ci/link-node $(PY) $(TOOLS)
	@touch $@

ui/node_modules/.installed: ui/package.json ui/package-lock.json | $(VENV)/.installed
	@echo "Installing the locked packages of the web page"
	@cd ui && npm ci --silent --no-audit --no-fund
	@touch $@

ifneq ($(wildcard ui/package.json),)
$(PAGE): ui/node_modules/.installed $(UI_SOURCES)
	@echo "Building the web page"
	@cd ui && npm run --silent build
	@touch $@
else
$(PAGE): ;
endif
