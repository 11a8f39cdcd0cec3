# `make` alone prints the targets. MODE is dev, prod or demo; APPS names folders of infra/docker or services; APP is one application.
# MONITORING=1 joins the monitoring to the stack, 0 leaves it out; without it infra/docker/.env says it, and otherwise only production has it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MODE ?= dev
# dev and prod are two ways to run the machine's own stack; any other mode is a stack of its own
OTHER = $(filter-out dev prod,$(MODE))
PROJECT = kgc$(OTHER:%=-%)
RUN := node --import=tsx

.PHONY: help
help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{ printf "  %-14s %s\n", $$1, $$2 }'

##@ The stack
.PHONY: bootstrap doctor env up down purge demo demo-down smoke admin backup restore seal mail-test logs ps psql
bootstrap: node_modules/.stamp ## Install what this machine lacks: Docker Engine, Compose, buildx
	@$(RUN) scripts/bootstrap.ts

doctor: node_modules/.stamp ## Name all problems of this machine and the stack, each with the command that fixes it (MODE=, BUNDLE=1: a file for a report, too)
	@$(RUN) scripts/bootstrap.ts --doctor --environment $(MODE) $(if $(BUNDLE),--bundle)

env: node_modules/.stamp ## Write the env files: generate secrets, keep existing values (MODE=)
	@$(RUN) scripts/env.ts $(OTHER)

# what a fresh clone lacks is made first; a warm start pays for neither
up: node_modules/.stamp ## Start the stack and wait until it is ready (MODE=prod, APPS="chatwoot traefik", MONITORING=1)
	@docker info >/dev/null 2>&1 || $(RUN) scripts/bootstrap.ts
	@test -f infra/docker/.env$(OTHER:%=.%) || $(RUN) scripts/env.ts $(OTHER)
	@$(RUN) scripts/up.ts $(MODE) $(APPS)

down: node_modules/.stamp ## Stop the stack; its data stays (MODE=)
	@$(RUN) scripts/down.ts $(MODE)

purge: node_modules/.stamp ## Stop the stack and remove all its data; asks first (MODE=)
	@$(RUN) scripts/down.ts $(MODE) --purge

demo: node_modules/.stamp ## The whole stack on this machine, with no registry and no account (MONITORING=1)
	@$(RUN) scripts/bootstrap.ts --demo
	@$(RUN) scripts/env.ts demo
	@infra/demo/build.sh
	@test "$(MONITORING)" != 1 || infra/demo/monitoring/build.sh
	@$(RUN) scripts/up.ts demo
	@$(RUN) scripts/admin.ts demo
	@$(RUN) scripts/smoke.ts demo

demo-down: node_modules/.stamp ## Remove the demo: containers, networks, volumes and its env files
	@$(RUN) scripts/down.ts demo --purge --yes

smoke: node_modules/.stamp ## Prove that the running stack works (MODE=)
	@$(RUN) scripts/smoke.ts $(MODE)

admin: node_modules/.stamp ## Create an application's first administrator (APP=chatwoot, MODE=)
	@$(RUN) scripts/admin.ts $(MODE) $(APP)

backup: node_modules/.stamp ## Take a backup of the running stack, proven by a restore (TO=/srv/backups, KEEP="--keep-daily 7", APPS=, MODE=)
	@$(RUN) scripts/backup.ts $(MODE) $(APPS) $(if $(TO),--to $(TO)) $(KEEP)

restore: node_modules/.stamp ## Restore a backup; what was there is kept beside (FROM=/srv/backups/<backup>, KEY=<file>, APPS=, MODE=)
	@test -n "$(FROM)" || { echo 'make restore FROM=<backup>: which one? npx zx scripts/backup.ts status --to <folder>' >&2; exit 2; }
	@$(RUN) scripts/restore.ts $(FROM) $(MODE) $(APPS) $(if $(KEY),--identity $(KEY))

seal: node_modules/.stamp ## Seal an environment's secrets for Kubernetes from its env files (ENVIRONMENT=production)
	@test -n "$(ENVIRONMENT)" || { echo 'make seal ENVIRONMENT=<environment>: which one of infra/k8s/overlays?' >&2; exit 2; }
	@$(RUN) scripts/seal.ts $(ENVIRONMENT)

mail-test: node_modules/.stamp ## Send one mail from each application that sends mail (TO=me@kgc.hu, MODE=)
	@test -n "$(TO)" || { echo 'make mail-test TO=<address>: where to?' >&2; exit 2; }
	@$(RUN) scripts/smoke.ts $(MODE) --mail $(TO)

logs: ## Follow the logs (MODE=, APPS= names services)
	@docker compose -p $(PROJECT) logs --follow --tail 100 $(APPS)

ps: ## List the containers (MODE=)
	@docker compose -p $(PROJECT) ps --all

psql: ## Open an application's database (APP=kgc|twenty|chatwoot|horilla, MODE=)
	@test -n "$(APP)" || { echo 'make psql APP=<application>: which database?' >&2; exit 2; }
	@docker compose -p $(PROJECT) exec $(APP)-db sh -c 'exec psql -U "$${DATABASE_LOGIN:-$$POSTGRES_USER}" "$$POSTGRES_DB"'

##@ This repository
.PHONY: test lint soak bench cluster-up cluster-down
test: node_modules/.stamp ## Lint and run all tests; installs what they need (TESTS="unit policy")
	@$(RUN) test/run.ts $(TESTS)

lint: node_modules/.stamp ## Run the linters only
	@$(RUN) test/run.ts lint

soak: node_modules/.stamp ## Change a healthy stack, start from mixtures of containers, interrupt and race deploys, over and over (ROUNDS=10); kill restores and rotations at each step; provoke every alert
	@KGC_SOAK=$(or $(ROUNDS),10) $(RUN) test/run.ts compose --grep recreate
	@KGC_SOAK=$(or $(ROUNDS),10) $(RUN) test/run.ts compose --grep mixture
	@KGC_SOAK=1 $(RUN) test/run.ts compose --grep replay
	@KGC_SOAK=1 $(RUN) test/run.ts compose --grep upgrade/major
	@KGC_SOAK=1 $(RUN) test/run.ts compose --grep backup/backup
	@KGC_SOAK=1 $(RUN) test/run.ts cluster --grep move/move
	@KGC_SOAK=1 $(RUN) test/run.ts cluster --grep deploy/sealed.soak
	@KGC_SOAK=$(or $(ROUNDS),10) $(RUN) test/run.ts cluster --grep deploy/signals
	@KGC_SOAK=$(or $(ROUNDS),10) $(RUN) test/run.ts cluster --grep deploy/race

bench: node_modules/.stamp ## Compare the tools with the bare commands, on a running demo and the test cluster (PARTS="up deploy")
	@$(RUN) test/bench.ts $(PARTS)

cluster-up: ## Start the Kubernetes cluster for the tests, or repair it; prints how to use it
	@test/cluster/engine/up.sh

cluster-down: ## Remove that cluster and its data
	@test/cluster/engine/down.sh

node_modules/.stamp: package.json package-lock.json
	@command -v node >/dev/null || { echo 'Node is not installed: version 20 or newer is needed, https://nodejs.org/en/download' >&2; exit 2; }
	@node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exitCode = major > 20 || (major === 20 && minor >= 11) ? 0 : 1' || { echo "Node $$(node --version) is too old: version 20.11 or newer is needed, https://nodejs.org/en/download" >&2; exit 2; }
	@command -v npm >/dev/null || { echo 'npm is not installed: Debian has it in a package of its own (apt-get install npm), elsewhere it comes with Node: https://nodejs.org/en/download' >&2; exit 2; }
	@echo 'Installing the packages of package-lock.json' >&2
	@npm ci --no-progress --loglevel=error >&2
	@touch $@
