# Everything happens in $(VENV); nothing outside this folder is touched, apart from pip's own cache.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint bench docs clean

help:
	@echo "make demo       install, and run the main study: figures, data file, table of claims in runs/demo"
	@echo "make test       the tests that take seconds"
	@echo "make test-slow  the long physics"
	@echo "make lint       style, types, and the direction of imports"
	@echo "make bench      measured ratios against peers"
	@echo "make docs       the documentation as a static site in site/"
	@echo "make clean      remove what the other targets made, the environment too"

# ---- environments: one stamp per set of extras, redone when the declared or the pinned versions change

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable ".[$*]"
	@touch $@ $(VENV)/.installed

# ---- jobs

demo: $(VENV)/.installed
	$(BIN)/quenched run effective-noise --out runs/demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --quiet

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow --durations=0

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.run

docs: $(VENV)/.installed-docs
	$(BIN)/python docs/build.py site

clean:
	rm -rf $(VENV) runs site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
