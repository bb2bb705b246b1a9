# Every target is an alias of the `stagecraft` command; `make help` explains them.
.DEFAULT_GOAL := help
STAGE ?=
HOST ?=
WHAT ?=
FOLDER ?=
ONLY ?=
ARGS ?=
# An environment from elsewhere (VENV=<folder>) is used as it is: nothing is built then.
VENV ?= .venv
READY := $(if $(filter .venv,$(VENV)),.venv/.ready)
PY := $(VENV)/bin/python
RUN := $(PY) -m stagecraft
# A run starts many Pythons: what one has compiled, the next need not.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: drift $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))


help: ## Show this
	@echo "Stagecraft: make <target> [STAGE=partners] [HOST=backend-1] [ARGS='--where cloud']"
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: requirements.lock pyproject.toml scripts/bootstrap.sh
	@scripts/bootstrap.sh

setup: $(READY) ## Build the Python environment (other targets do it by themselves)

system: ## Install the Debian packages that a rehearsal needs (says which first)
	@scripts/bootstrap.sh --system

rehearse: $(READY) ## Build STAGE on this machine, check it, build it again
	@$(RUN) rehearse "$(STAGE)" $(ARGS)

demo: $(READY) ## The cloud's side of a stage from nothing to nothing in a minute, with a change by hand: no root
	@$(RUN) demo

demo-recording: $(READY) ## Run it once more, and write docs/images/demo.svg and demo.cast from what it says
	@$(PY) tools/record_demo.py

# 2 says that there is something to do, which make would call an error.
plan: $(READY) ## Say what would change in STAGE, and change nothing (ARGS='--html plan.html')
	@$(RUN) plan "$(STAGE)" $(ARGS) || [ $$? -eq 2 ]

drift: $(READY) ## Say what was changed outside since the last apply of STAGE (ARGS='--watch 6h')
	@$(RUN) drift "$(STAGE)" $(ARGS) || [ $$? -eq 2 ]

cost: $(READY) ## What STAGE costs a month, or each stage (ARGS='--what-if serving.preemptible=true')
	@$(RUN) cost $(STAGE) $(ARGS)

apply: $(READY) ## Build or converge STAGE
	@$(RUN) apply "$(STAGE)" $(ARGS)

verify: $(READY) ## Check STAGE by talking to it
	@$(RUN) verify "$(STAGE)" $(ARGS)

destroy: $(READY) ## Take STAGE down and prove that nothing is left
	@$(RUN) destroy "$(STAGE)" $(ARGS)

accept: $(READY) ## Build STAGE in a folder made for it, check it, take it down, sign a report (ARGS='--where cloud --cloud-id <id>')
	@$(RUN) accept "$(STAGE)" $(ARGS)

rotate: $(READY) ## Make secrets of STAGE anew while it serves: WHAT=ca, api-keys, ...
	@$(RUN) rotate "$(STAGE)" "$(WHAT)" $(ARGS)

roll: $(READY) ## Change machines of STAGE as declared, one by one while it serves: WHAT=backend (ARGS=--replace)
	@$(RUN) roll "$(STAGE)" "$(WHAT)" $(ARGS)

rollback: $(READY) ## Go back to what served before the last deployment of STAGE
	@$(RUN) rollback "$(STAGE)" $(ARGS)

down: $(READY) ## Remove a rehearsal of STAGE, even a broken one
	@$(RUN) down "$(STAGE)" $(ARGS)

status: $(READY) ## What a rehearsal of STAGE consists of
	@$(RUN) status "$(STAGE)" $(ARGS)

shell: $(READY) ## A shell on HOST of STAGE
	@$(RUN) shell "$(STAGE)" "$(HOST)"

image: $(READY) ## Build the image of the serving application, with the list of what is in it
	@$(RUN) image $(ARGS)

test: $(READY) system ## Prove the project: everything, a little over an hour, needs root
	@$(RUN) test $(ARGS)

test-fast: $(READY) ## Lint, types, unit and contract tests: no root
	@$(RUN) test --fast $(ARGS)

lint: $(READY) ## The part of it that is no test: lint, types, generated files
	@$(RUN) test --fast --only checks

export: $(READY) ## Write declarations of a cloud's FOLDER that exists (ARGS='--to <folder>')
	@$(RUN) export "$(FOLDER)" $(ARGS)

ci: $(READY) ## Write the pipelines of GitLab and GitHub from what the stages declare
	@$(RUN) ci $(ARGS)

bench: $(READY) ## Measure the figures of docs/benchmarks.md (ONLY=<figure>); quiet machine, about an hour
	@$(RUN) bench --only "$(ONLY)"

docs: $(READY) ## Build the documentation's site into build/site, links checked
	@$(RUN) docs

chaos: $(READY) ## Disturb the building of STAGE: 1,000 API faults, 10 kills (ARGS=--machines: a whole rehearsal)
	@$(RUN) chaos "$(STAGE)" $(ARGS)

modules: $(READY) ## Generate the modules from their declarations
	@$(PY) tools/generate_modules.py

schema: $(READY) ## Write the JSON Schema of inventories, by which editors complete, and check all of them
	@$(RUN) schema $(ARGS)

topology: $(READY) ## Draw STAGE into docs/images: machines, services, who may talk to whom
	@$(RUN) topology "$(STAGE)" $(ARGS)

lock: $(READY) ## Resolve requirements.in into requirements.lock
	@.venv/bin/uv pip compile -q --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-annotate --no-header requirements.in -o requirements.lock
