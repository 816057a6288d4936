# Everything a person or CI does. `make` alone lists it.
PYTHON ?= python3
BIN := .venv/bin
UV := VIRTUAL_ENV=.venv $(BIN)/uv
export HF_HUB_OFFLINE = 1

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

setup: .venv/.done ## install everything into .venv (done by the others when needed)

.venv/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Fleece needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (about 8 GB, mostly torch; minutes on a slow line)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	@$(UV) pip sync --quiet --require-hashes requirements.lock
	@$(UV) pip install --quiet --no-deps --editable . uv==0.13.8
	@touch $@

run: .venv/.done ## the whole pipeline on this machine: from data to a probed endpoint
	@$(BIN)/fleece demo
	@$(BIN)/fleece run finetune

check: .venv/.done ## format, lint, types, imports, compiled files and what is wrong with them, fast tests: two things at a time
	@$(MAKE) --no-print-directory -j2 -O types fast-steps fast-pipelines style

types:
	$(BIN)/mypy

fast-steps:
	$(BIN)/pytest -q -m "not slow" tests/steps tests/lint tests/demo

fast-pipelines:
	$(BIN)/pytest -q -m "not slow" --ignore tests/steps --ignore tests/lint --ignore tests/demo

style:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/fleece compile --check
	$(BIN)/fleece lint --strict

test: check ## check, and every slow test on real components
	$(BIN)/pytest -q -n 2 --dist loadfile -m slow --ignore tests/e2e --ignore tests/cluster
	$(BIN)/pytest -q tests/e2e
	KUBECONFIG= $(BIN)/pytest -q tests/cluster

test-cluster: .venv/.done ## on the cluster of KUBECONFIG: install a fresh tenant, run and attack everything, remove it
	@test -n "$(KUBECONFIG)" || { echo "make test-cluster: KUBECONFIG is not set; it names the cluster to try this on"; exit 64; }
	$(BIN)/pytest -q tests/cluster

install: .venv/.done ## onto the cluster of KUBECONFIG: policies, accounts, rights, templates: make install TENANT=team-a SETTINGS=team-a.yaml
	@test -n "$(TENANT)" && test -f "$(SETTINGS)" || { echo "make install TENANT=<name> SETTINGS=<file>; fleece install --help has every option"; exit 64; }
	@$(BIN)/fleece install --tenant "$(TENANT)" --settings "$(SETTINGS)" $(OPTIONS)

compile: .venv/.done ## write workflow-templates/ from pipelines/
	$(BIN)/fleece compile

format: .venv/.done ## format and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-run: .venv/.done ## wall time of the demo over the sum of the raw tools run by hand
	$(BIN)/python -m benchmarks.run

bench-runner: .venv/.done ## CPU seconds of five no-op steps, and of compiling every template
	$(BIN)/python -m benchmarks.runner

bench-cluster: .venv/.done ## on the cluster of KUBECONFIG: gaps between steps, start of a step, what train costs around its gang
	$(BIN)/python -m benchmarks.cluster

conformance: .venv/.done ## Argo's own examples on the local runner and under the linter: make conformance ARGO=<checkout of argo-workflows>
	@test -d "$(ARGO)/examples" || { echo "make conformance ARGO=<a checkout of argoproj/argo-workflows>: no examples/ in '$(ARGO)'"; exit 64; }
	$(BIN)/python -m tests.argo.conformance $(ARGO)

BUILDER ?= $(firstword $(notdir $(foreach builder,docker podman buildah,$(shell command -v $(builder)))))
IMAGES ?= core train evaluate
VERSION = $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' pipelines/settings.py)

images: ## container images with docker, podman or buildah: make images IMAGES="core train" REGISTRY=registry.example.org/team/
	@test -n "$(BUILDER)" || { echo "make images needs docker, podman or buildah; none of them is on PATH"; exit 64; }
	for kind in $(IMAGES); do $(BUILDER) build $(if $(filter buildah,$(BUILDER)),--layers) $(BUILD_FLAGS) \
	  --file images/$$kind/Dockerfile --tag $(REGISTRY)fleece/$$kind:$(VERSION) . || exit; done

lock: .venv/.done ## resolve every dependency set again
	$(UV) pip compile -q pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --upgrade -o requirements.lock
	for image in core torch train evaluate; do $(UV) pip compile -q pyproject.toml --extra core --extra $$image --python-version 3.11 \
	  --generate-hashes -c requirements.lock -o images/$$image/requirements.lock; done
	$(UV) pip compile -q images/services/requirements.in --python-version 3.11 --generate-hashes -c requirements.lock -o images/services/requirements.lock

clean: ## forget runs, models and endpoints of this machine (.fleece), keep .venv
	-@test ! -x $(BIN)/fleece || $(BIN)/fleece serve stop
	rm -rf .fleece

.PHONY: help setup run check types fast-steps fast-pipelines style test test-cluster install compile format bench-run bench-runner bench-cluster conformance images lock clean
