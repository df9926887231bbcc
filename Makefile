# `make` alone prints what there is. Each target is one command, the same that CI runs.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
READY := $(VENV)/.ready
# Four processes share the tests, module by module and in order: on two processors, as tests wait
# about as long as they work.
SHARED := --numprocesses=4 --dist=loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
# In order also with -j: conformance reads what the suites before it leave.
.NOTPARALLEL:
.PHONY: help compile lint format type unit integration conformance test e2e image demo demo-down bench-informers bench-dataplane bench-controller soak-certificates chaos control-plane clean

help: ## Print this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): setup.cfg pyproject.toml hack/make_venv.py
	@$(PYTHON) -m hack.make_venv $(VENV)

compile: $(READY) ## Install the controller here: ./bin/etcdproxy-controller
	@mkdir -p bin && ln -sf ../$(RUN)/etcdproxy-controller bin/etcdproxy-controller
	@echo "./bin/etcdproxy-controller is ready"

lint: $(READY) ## Check style and format
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

format: $(READY) ## Format the code
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

type: $(READY) ## Check types
	$(RUN)/mypy

unit: $(READY) ## Tests that start nothing: a few seconds
	$(RUN)/pytest tests/property tests/wire tests/unit $(SHARED) --junit-xml=.reports/unit.xml

integration: $(READY) ## Tests on a real etcd, API server and controller manager
	$(RUN)/pytest tests/integration tests/packaging $(SHARED) --junit-xml=.reports/integration.xml

conformance: $(READY) ## What tests/CONFORMANCE.md names has run in the two suites above
	$(RUN)/pytest tests/conformance

test: lint type unit integration conformance ## All of the above: everything that needs no root

e2e: $(READY) ## The demo, attacks and zero failures on real nodes (root)
	$(RUN)/pytest tests/e2e --numprocesses=2

image: $(READY) ## Build the images: the controller's from the Dockerfile, by buildah
	$(RUN)/python -m hack.cluster images

bench-informers: $(READY) ## How fast informers and queue are, beside client-go: minutes
	$(RUN)/python -m hack.bench

bench-dataplane: $(READY) ## How fast and how small the data plane is, beside bare etcd: 4 minutes
	$(RUN)/python -m hack.bench.dataplane

bench-controller: $(READY) ## How fast it deploys storages, beside bare writes; ARGS="--storages=1000"
	$(RUN)/python -m hack.bench.controller $(ARGS)

soak-certificates: $(READY) ## 200 storages through renewals and rotations: 15 minutes; ARGS="--storages=200"
	$(RUN)/python -m hack.soak $(ARGS)

chaos: $(READY) ## Controllers under faults, and 2,000 hostile storages: half an hour; ARGS="--churn=600"
	$(if $(ARGS),,HOSTILE_STORAGES=2000 $(RUN)/pytest tests/integration/controller/test_hostile.py)
	$(RUN)/python -m hack.chaos $(ARGS)

control-plane: $(READY) ## Run etcd, API server and controller manager until Ctrl-C
	$(RUN)/python -m hack.cluster control-plane

demo: $(READY) ## A cluster, the controller and two EtcdStorages, to look at (root, or KUBECONFIG)
	@$(RUN)/python -m hack.demo up

demo-down: $(READY) ## End what `make demo` began
	@$(RUN)/python -m hack.demo down

clean: ## Remove what was built in this folder
	rm -rf $(VENV) bin build dist *.egg-info .mypy_cache .pytest_cache .reports .ruff_cache .hypothesis
