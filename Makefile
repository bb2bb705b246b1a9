# Every target is an alias of the `stagecraft` command; `make help` explains them.
.DEFAULT_GOAL := help
STAGE ?=
HOST ?=
WHAT ?=
ONLY ?=
ARGS ?=
PY := .venv/bin/python
RUN := .venv/bin/stagecraft

.PHONY: help setup system rehearse apply verify destroy rotate roll down status shell test test-fast bench docs chaos modules lock

help: ## Show this
	@echo "Stagecraft: make <target> [STAGE=partners] [HOST=backend-1] [ARGS='--where cloud']"
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: requirements.lock pyproject.toml scripts/bootstrap.sh
	@scripts/bootstrap.sh

setup: .venv/.ready ## Build the Python environment (other targets do it by themselves)

system: ## Install the Debian packages that a rehearsal needs (says which first)
	@scripts/bootstrap.sh --system

rehearse: .venv/.ready ## Build STAGE on this machine, check it, build it again
	@$(RUN) rehearse "$(STAGE)"

apply: .venv/.ready ## Build or converge STAGE
	@$(RUN) apply "$(STAGE)" $(ARGS)

verify: .venv/.ready ## Check STAGE by talking to it
	@$(RUN) verify "$(STAGE)" $(ARGS)

destroy: .venv/.ready ## Take STAGE down and prove that nothing is left
	@$(RUN) destroy "$(STAGE)" $(ARGS)

rotate: .venv/.ready ## Make secrets of STAGE anew while it serves: WHAT=ca, api-keys, ...
	@$(RUN) rotate "$(STAGE)" "$(WHAT)"

roll: .venv/.ready ## Change machines of STAGE as declared, one by one while it serves: WHAT=backend (ARGS=--replace)
	@$(RUN) roll "$(STAGE)" "$(WHAT)" $(ARGS)

down: .venv/.ready ## Remove a rehearsal of STAGE, even a broken one
	@$(RUN) down "$(STAGE)"

status: .venv/.ready ## What a rehearsal of STAGE consists of
	@$(RUN) status "$(STAGE)"

shell: .venv/.ready ## A shell on HOST of STAGE
	@$(RUN) shell "$(STAGE)" "$(HOST)"

test: .venv/.ready system ## Prove the project: everything, under 40 minutes, needs root
	@$(RUN) test

test-fast: .venv/.ready ## Lint, types, unit and contract tests: no root
	@$(RUN) test --fast

bench: .venv/.ready ## Measure the figures of docs/benchmarks.md (ONLY=<figure>); quiet machine, about an hour
	@$(RUN) bench --only "$(ONLY)"

docs: .venv/.ready ## Build the documentation's site into build/site, links checked
	@$(RUN) docs

chaos: .venv/.ready ## Disturb the building of STAGE: 1,000 API faults, 10 kills (ARGS=--machines: a whole rehearsal)
	@$(RUN) chaos "$(STAGE)" $(ARGS)

modules: .venv/.ready ## Generate the modules from their declarations
	@$(PY) tools/generate_modules.py

lock: .venv/.ready ## Resolve requirements.in into requirements.lock
	@.venv/bin/uv pip compile -q --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-annotate --no-header requirements.in -o requirements.lock
