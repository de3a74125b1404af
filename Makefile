# SPDX-License-Identifier: GPL-3.0-or-later
# Each target calls a script under tests/, which says what it does and why.
PYTHON ?= python3
export PYTHON
# Another ansible-core than the default one: make unit CORE=2.21
ifdef CORE
export NESTED_CLUSTERS_CORE := $(CORE)
endif
STAGES := $(PYTHON) tests/tools/stages.py

.DEFAULT_GOAL := help
.PHONY: help check api demo demo-remove test lint sanity unit cores page real molecule faults soak bench build clean host-cluster-up host-cluster-down

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## two host clusters, and virtual clusters on them, before your eyes; or one on KUBECONFIG's
	@tests/tools/demo.sh

demo-remove: ## remove what demo made
	@tests/tools/demo.sh remove

check: ## before each commit: style, types, unit tests and the API tier
	@$(STAGES) check

test: ## everything that CI checks, in order
	@$(STAGES) test

lint: ## the checks that need no cluster and run no tests
	@$(STAGES) lint

sanity: ## ansible-test sanity alone
	@$(STAGES) tools sanity

unit: ## unit tests; with another ansible-core: make unit CORE=2.21
	@$(STAGES) tools unit

cores: ## unit tests and playbooks on every other ansible-core, and on 2.16 sanity and the API tier: 45 minutes
	@$(STAGES) tools cores

page: ## the report's page in a browser
	@$(STAGES) tools page

api: ## the modules against a control plane without a kubelet; no root
	@$(STAGES) tools binaries api

real: ## tests with real virtual clusters, on KUBECONFIG's cluster or one started for them
	@$(STAGES) tools host-cluster real

molecule: ## the roles, on a host cluster of their own (root on Linux)
	@$(STAGES) tools host-cluster molecule

faults: ## break things while tasks run, two hundred times: 25 minutes
	@$(STAGES) tools faults

soak: ## random tasks of four processes in one group, watched: 30 minutes
	@$(STAGES) tools binaries soak

bench: ## measure, on KUBECONFIG's cluster; PARTS="unchanged info": only these; BASE=COMMIT: also against that commit
	@NESTED_CLUSTERS_BENCH_PARTS="$(PARTS)" NESTED_CLUSTERS_BENCH_BASE="$(BASE)" \
		tests/tools/run.sh python tests/benchmarks/run.py

build: ## the collection's artifact, in build/artifact
	@tests/tools/build.sh

clean: ## remove what was built in the checkout (the tools in the cache stay)
	rm -rf build tests/output .mypy_cache .ruff_cache .pytest_cache .ansible

host-cluster-up: ## a host cluster on this machine to work with (root on Linux)
	@tests/host_cluster/host-cluster up --name nested-dev

host-cluster-down: ## take it down again
	@tests/host_cluster/host-cluster down --name nested-dev
