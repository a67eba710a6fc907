# All targets for contributors. The others imply `make install`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
# One process per core; each grows to two gigabytes of memory. Idle processes steal queued tests.
WORKERS := --numprocesses auto --maxprocesses 4 --dist worksteal
PYTEST := $(BIN)/pytest
ALONE := not torch and not browser and not ray and not nightly

.PHONY: demo install install-all test test-slow test-all test-nightly test-newest test-torch \
	test-browser test-ray docs lint format clean

install: .venv/installed

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) ".[dev]"
	touch $@

# The requirements of all targets in one call, which is faster than several.
STAMPS := $(foreach extra,torch browser ray docs,.venv/installed-$(extra))
install-all: | .venv/bin/pip
	$(INSTALL) ".[dev,torch,browser,ray,docs]"
	touch .venv/installed $(STAMPS)

# Extras of single targets: .venv/installed-torch has the extra "torch".
$(STAMPS): .venv/installed-%: .venv/installed
	$(INSTALL) ".[dev,$*]"
	touch $@

# Draws parts, trains, evaluates: about five minutes on two cores, no network after installation.
demo: install
	$(BIN)/python tools/demo.py --output demo

test: install
	$(PYTEST) $(WORKERS) -m "not slow and $(ALONE)"

test-slow: install
	$(PYTEST) $(WORKERS) -m "slow and $(ALONE)"

test-all: install
	$(PYTEST) $(WORKERS) -m "$(ALONE)"

# Tests that train for minutes or measure time, one at a time, so that none disturbs another.
test-nightly: install-all
	$(PYTEST) -m nightly

# The default tests with the newest Python and packages that pyproject.toml allows.
test-newest:
	@python=$$(sh tools/newest_python.sh); \
	if [ -z "$$python" ]; then \
		echo "make test-newest: no Python 3.12 or newer on PATH or under pyenv; nothing is tested."; \
	else \
		set -ex; \
		"$$python" -m venv .venv-newest; \
		.venv-newest/bin/pip install --quiet --disable-pip-version-check \
			--upgrade --upgrade-strategy eager --editable ".[dev]"; \
		.venv-newest/bin/pip list | grep -iE "^(jax|jaxlib|flax|optax|orbax|numpy|pytest)"; \
		.venv-newest/bin/pytest $(WORKERS) -m "not slow and $(ALONE)"; \
	fi

# PyTorch is installed only for these tests.
test-torch: .venv/installed-torch
	$(PYTEST) -m "torch and not nightly" tests/parity

# Needs Chromium on PATH; see tests/README.md.
test-browser: .venv/installed-browser
	$(PYTEST) -m browser tests/browser

# Ray is installed only for these tests.
test-ray: .venv/installed-ray
	$(PYTEST) -m ray tests/tools

# The site, in docs/_build/html; a warning is an error.
docs: .venv/installed-docs
	rm -rf docs/_build docs/_generated
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-newest .cache .pytest_cache .ruff_cache build *.egg-info docs/_build docs/_generated
