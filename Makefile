# Everything a contributor needs. `make install` is implied by the others.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo install test test-all test-torch test-browser test-ray docs lint format clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

# Draws parts, trains, evaluates: some five minutes on two cores, no network after installation.
demo: install
	$(BIN)/python tools/demo.py --output demo

test: install
	$(BIN)/pytest -m "not slow and not torch and not browser and not ray"

test-all: install
	$(BIN)/pytest -m "not torch and not browser and not ray"

# PyTorch is installed for these tests alone.
test-torch: .venv/installed-torch
	$(BIN)/pytest -m torch tests/parity

.venv/installed-torch: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,torch]"
	touch $@

# Needs Chromium on PATH; see tests/README.md.
test-browser: .venv/installed-browser
	$(BIN)/pytest -m browser tests/browser

.venv/installed-browser: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,browser]"
	touch $@

# Ray is installed for these tests alone.
test-ray: .venv/installed-ray
	$(BIN)/pytest -m ray tests/tools

.venv/installed-ray: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,ray]"
	touch $@

# The site, in docs/_build/html; a warning is an error.
docs: .venv/installed-docs
	rm -rf docs/_build docs/_generated
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html

.venv/installed-docs: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,docs]"
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .cache .pytest_cache .ruff_cache build *.egg-info docs/_build docs/_generated
