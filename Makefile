# doflow. `make help` lists the targets; nothing here needs a GPU or a network beyond the package registry.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-faults audit licences lint repro bench rehearse-charades lock

PYTHON ?= python3
JOBS   ?= 2
VENV   ?= .venv
BIN    := $(VENV)/bin
TORCH  := $(shell sed -n 's/^torch==//p' requirements.lock)

# One thread per process: small models crawl when threads compete for busy cores. The allocator settings keep large blocks
# instead of giving them back to the system after every step. Each can be overridden from outside.
export OMP_NUM_THREADS        ?= 1
export MALLOC_MMAP_THRESHOLD_ ?= 1073741824
export MALLOC_TRIM_THRESHOLD_ ?= 8589934592
export MALLOC_TOP_PAD_        ?= 268435456
export PYTHONHASHSEED         ?= 0
export DO_NOT_TRACK           := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(VENV)/.ready $(BIN)/doflow  ## Virtual environment with every version of the lock file

# Without an NVIDIA driver the CPU build of PyTorch is asked for first (pip finds it where the machine's package index offers one;
# see README), so that a small machine does not fetch gigabytes of CUDA packages. With a driver, the registry's GPU build is taken.
$(VENV)/.ready: requirements.lock pipelines/params_once.py
	@command -v "$(PYTHON)" >/dev/null || { echo "there is no $(PYTHON); install Python 3.11 or newer, or set PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "doflow needs Python 3.11 or newer, and $(PYTHON) is $$("$(PYTHON)" --version 2>&1); set PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1; then \
	  $(BIN)/python -m pip install --quiet torch==$(TORCH); \
	else \
	  $(BIN)/python -m pip install --quiet torch==$(TORCH)+cpu 2>/dev/null || $(BIN)/python -m pip install --quiet torch==$(TORCH); \
	fi
	$(BIN)/python -m pip install --quiet -r requirements.lock
	@packages=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && cp pipelines/params_once.py $$packages/doflow_params_once.py && echo 'import doflow_params_once' > $$packages/doflow_params_once.pth
	@touch $@

# A clone in which it is called goes before the one that it was set up in.
$(BIN)/doflow: Makefile | $(VENV)/.ready
	@printf '%s\n' '#!/bin/sh' 'root="$(CURDIR)"' \
	  'test -f stages/commands.py || test -f "$$root/stages/commands.py" || { echo "doflow: the repository is no longer in $$root; call it from its root, or make setup there" >&2; exit 2; }' \
	  'PYTHONPATH="$$root$${PYTHONPATH:+:$$PYTHONPATH}" exec "$$(dirname "$$0")/python" -m stages.commands "$$@"' > $@ && chmod +x $@

demo: setup  ## The planted world through every stage to data/reports/demo/index.html
	$(BIN)/python -m pipelines.side_by_side report@demo --jobs $(JOBS)
	@echo "Open data/reports/demo/index.html"

test: setup lint  ## Lint, types and all tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-faults: setup  ## Faults in their long form: 10,000 hostile files per parser, 200 kills (an hour or more)
	DOFLOW_FAULT_INPUTS=$${DOFLOW_FAULT_INPUTS:-10000} DOFLOW_FAULT_KILLS=$${DOFLOW_FAULT_KILLS:-200} $(BIN)/python -m pytest tests/faults

audit: setup  ## Known weaknesses of the dependencies (pip-audit, in an environment of its own)
	$(BIN)/python -m tests.dependencies audit

licences: setup  ## Licences of the dependencies, one line each
	$(BIN)/python -m tests.dependencies licences

lint: setup  ## Formatting, lint and types alone
	ruff format --check .
	ruff check .
	mypy

repro: setup  ## Every result of params.yaml (downloads the real features; wants a GPU and days without one)
	dvc repro

bench: setup  ## Benchmarks: ratios measured interleaved in one run, into benchmarks/results/
	$(BIN)/python -m benchmarks.run

rehearse-charades: setup  ## Charades-STA at full size with planted features: make rehearse-charades ANNOTATIONS=folder
	$(BIN)/python -m tests.rehearse --benchmark charades --annotations "$(ANNOTATIONS)" --work data/rehearsals/charades

lock: setup  ## Write requirements.lock anew from what is installed
	$(BIN)/python -m pip freeze --exclude-editable | sed -E 's/^(torch==[0-9.]+)\+.*/\1/' | grep -v '^-e' > requirements.lock
