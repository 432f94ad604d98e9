# Tiller: everything a person does with a checkout. `make` alone lists it.
# Needs: make, Python 3.11 or newer with venv, pip. Nothing is installed outside this folder.

PYTHON ?= python3
PIP_FLAGS ?=
DATASET ?= synthetic
DATA ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
PART ?= --help
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 8 ] && echo 8 || echo $$n)

VENV := .venv
BIN := $(VENV)/bin
SERVE_VENV := .venv-serve
SERVE_BIN := $(SERVE_VENV)/bin
DEV := $(VENV)/.installed-dev
TRAIN := $(VENV)/.installed-train
SERVE := $(SERVE_VENV)/.installed-test
# `dev` holds everything that `train` does: where it is there already, the demo uses it.
ENOUGH_TO_TRAIN := $(if $(wildcard $(DEV)),$(DEV),$(TRAIN))

CODE := bundle client cli offline protos sae server benchmarks deploy tests .ci
STUBS := protos/steering/v1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format protos protos-check no-torch wheel prometheus-check bench bench-train reliability audit clean

help: ## this list
	@echo "make demo [DATASET=synthetic|ml-1m|ml-100k|lastfm DATA=path]"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{ printf "  make %-18s %s\n", $$1, $$2 }'
	@echo
	@echo "Settings: PYTHON=python3.12 (which Python), PIP_FLAGS=... (passed to pip), PYTEST_ARGS=..., JOBS=$(JOBS)"

demo: $(ENOUGH_TO_TRAIN) ## the main job, end to end: train, export, serve, ask (about three minutes)
	@$(BIN)/tiller demo --dataset $(DATASET) $(if $(DATA),--data $(DATA))

test: $(DEV) ## every test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

lint: $(DEV) ## style, types, and who may import whom
	@failed=; \
	echo "ruff check"; $(BIN)/ruff check $(CODE) || failed=y; \
	echo "ruff format --check"; $(BIN)/ruff format --check $(CODE) || failed=y; \
	echo "mypy"; $(BIN)/mypy || failed=y; \
	echo "lint-imports"; $(BIN)/lint-imports --no-logo || failed=y; \
	[ -z "$$failed" ]

format: $(DEV) ## rewrite the code in the house style
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

protos: $(DEV) ## write the gRPC stubs anew
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I . \
		--python_out=. --pyi_out=. --grpc_python_out=. --mypy_grpc_out=. $(STUBS)/*.proto

protos-check: $(DEV) ## are the committed stubs what the proto files give?
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/test_protos.py

no-torch: $(SERVE) ## the serving side's tests, where torch is not installed
	@$(SERVE_BIN)/python -c "import importlib.util as u; there = [m for m in ('torch', 'sklearn', 'scipy') if u.find_spec(m)]; \
		raise SystemExit(f'{there} must not be in $(SERVE_VENV)' if there else print('torch, sklearn, scipy: not installed, as wanted'))"
	@OMP_NUM_THREADS=1 $(SERVE_BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

wheel: $(SERVE) ## build the wheel and use it away from the source
	@$(SERVE_BIN)/python -m pip wheel -qq --no-deps --wheel-dir dist $(PIP_FLAGS) .
	@$(SERVE_BIN)/python .ci/check_wheel.py dist

prometheus-check: ## promtool: scrape config, alert rules and their tests
	@promtool check config deploy/prometheus/prometheus.yml
	@cd deploy/prometheus/tests && promtool test rules *.yml

bench: $(ENOUGH_TO_TRAIN) ## serving benchmark beside echo and bare FAISS (eight minutes; BENCH_ARGS=--quick: one)
	@$(BIN)/tiller bench --out runs/bench $(BENCH_ARGS)

bench-train: $(ENOUGH_TO_TRAIN) ## training benchmark on MovieLens-1M: make bench-train DATA=path
	@$(BIN)/python -m benchmarks.train --data $(DATA) --out runs/bench

reliability: $(DEV) ## hostile input, faults, soak: make reliability PART=requests|policies|bundles|faults|soak
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.reliability $(PART)

audit: $(DEV) ## known vulnerabilities of the installed packages
	@$(BIN)/python .ci/audit.py

clean: ## remove environments, caches and builds; bundles/ and runs/ stay
	@rm -rf $(VENV) $(SERVE_VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per environment and set of extras; pyproject.toml is what decides.
$(DEV): pyproject.toml
	@$(call install,$(VENV),dev)

$(TRAIN): pyproject.toml
	@$(call install,$(VENV),train)

$(SERVE): pyproject.toml
	@$(call install,$(SERVE_VENV),test)

# $(1) environment, $(2) extras
define install
$(PYTHON) -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' || \
	{ echo "Tiller needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }; \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }; \
echo "Setting up $(1) with tiller[$(2)]: one to three minutes, once ..."; \
started=$$(date +%s); \
[ -x $(1)/bin/python ] || $(PYTHON) -m venv $(1) || exit 1; \
$(1)/bin/python -m pip install -qq $(PIP_FLAGS) -e '.[$(2)]' || { echo "pip could not install tiller[$(2)]: see above."; exit 1; }; \
touch $@; echo "Set up $(1) in $$(( $$(date +%s) - started )) s: $$($(1)/bin/python --version), $$($(1)/bin/python -m pip list --format=freeze 2>/dev/null | wc -l) packages."
endef
