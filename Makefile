# Postern's front door. `make help` lists the verbs; each is one script of package.json or of a folder named below.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-parts unit check generate verify format differential fuzz reliability bench image e2e release clean

NPM := npm --no-fund --no-audit --loglevel=error
VERSION ?= 0.1.0
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
CREATED ?= $(shell git log -1 --format=%cI 2>/dev/null || date -u +%Y-%m-%dT%H:%M:%SZ)
STAMP := node_modules/.postern-installed

help: ## Show this list
	@printf 'Postern: mail policy for Kubernetes\n\n'
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'
	@printf '\nThe program itself: bin/postern --help\n'

# Scripts of dependencies are not run: none is needed, and nothing is compiled on the way in.
$(STAMP): package.json package-lock.json
	@echo 'postern: installing the npm packages (once, about half a minute) ...'
	@$(NPM) ci --ignore-scripts
	@touch $(STAMP)

install: $(STAMP) ## Install the npm packages (Node 24 among them)

quickstart: $(STAMP) ## Run Postern on examples/quickstart, send real mails, show every verdict (KEEP=1 keeps it running)
	@KEEP='$(KEEP)' npm run --silent quickstart

test-parts: $(STAMP) ## Install what the tests run against: etcd, kube-apiserver, kubectl, helm, BIND (cached)
	@npx --no-install node test/install.ts

test: $(STAMP) test-parts ## Run every suite that needs no cluster node (installs what is missing)
	@npx --no-install node test/run.ts

unit: $(STAMP) ## Run the suites that need no server part (seconds; while developing)
	@npx --no-install vitest run bundle policy operator cli

check: $(STAMP) ## Lint, types, dead code, generated files
	@npm run --silent check

generate: $(STAMP) ## Write the generated files: CRDs, JSON Schemas, reference pages, RBAC
	@npm run --silent generate

verify: $(STAMP) ## Fail if a generated file is not what `make generate` writes
	@npm run --silent verify

format: $(STAMP) ## Format and fix the sources
	@npm run --silent format

differential: $(STAMP) ## Compare `explain` with the live SMTP answer on N seeded cases (N=10000 SEED=1)
	@npm run --silent differential

fuzz: $(STAMP) ## Compile N mangled manifests beside a good tenant (N=50000 SEED=1)
	@npm run --silent fuzz

reliability: $(STAMP) test-parts ## Inject every fault of docs/reliability.md, and write that page from what held
	@npm run --silent reliability

bench: $(STAMP) ## Measure the figures of docs/performance.md, as ratios in one run (ONLY=Q1,Q3)
	@npm run --silent bench -- $(if $(ONLY),--only '$(ONLY)')

image: ## Build the container image (needs Docker)
	docker build --tag postern:$(VERSION) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --build-arg CREATED=$(CREATED) .

e2e: $(STAMP) ## Run the suites that need Docker or a cluster node: image, charts, rolls without loss, Argo CD (root; installs what is missing)
	@npm run --silent e2e

release: $(STAMP) ## Build the files of a release into dist/: charts, bill of materials, kubectl plugin for krew, checksums
	@command -v helm >/dev/null || npx --no-install node -e "import('./test/cluster/install.ts').then((m) => m.ensurePrograms(['helm']))"
	@npm run --silent release -- $(if $(RELEASE_URL),--url '$(RELEASE_URL)') --helm "$$(command -v helm || \
	  npx --no-install node -p "require('./test/cluster/programs.ts').requireProgram('helm')")"

clean: ## Remove what was installed and made (not the caches)
	rm -rf node_modules dist .postern coverage
