PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OPTIMIZED := JAX_DISABLE_MOST_OPTIMIZATIONS=0
RANDOM_NETWORKS := tests/test_incremental.py tests/test_incremental_accuracy.py tests/test_receptive_field.py

.PHONY: tour explore atlas docs dist test test-slow test-x64 test-oracles test-modes test-lowest check bench bench-gpu clean

tour: $(VENV)/installed
	$(BIN)/jaxviz tour --output tour

explore: $(VENV)/installed-explore
	$(BIN)/jaxviz explore

# What excites every channel of both networks, in the example photographs.
atlas: $(VENV)/installed
	$(BIN)/jaxviz atlas --network alexnet --network squeezenet --output atlas

# The site: guides, lecture, gallery and reference; it runs all their code, in some minutes.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html examples/site build/docs
	@echo build/docs/index.html

# What is published: built, checked, and its README shown by the rules of the package index.
dist: $(VENV)/installed-test
	rm -rf dist && $(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not oracle"

# What takes long, and ten times as many random networks.
test-slow: $(VENV)/installed-test
	$(OPTIMIZED) $(BIN)/python -m pytest -m slow
	$(OPTIMIZED) JAXVIZ_NUM_CASES=200 $(BIN)/python -m pytest -n 2 $(RANDOM_NETWORKS)

# What it compiles is hardly optimized, as it is about types, and compilation takes most of the time.
test-x64: $(VENV)/installed-test
	JAX_DISABLE_MOST_OPTIMIZATIONS=1 JAX_ENABLE_X64=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not oracle and not once"

# Against programs that no one here wrote, which make test does without.
test-oracles: $(VENV)/installed-test $(VENV)/installed-oracles
	$(OPTIMIZED) JAXVIZ_ORACLES=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "oracle and not slow"

# The other modes of JAX, and Python without assertions; without compilation only what is quick.
test-modes: $(VENV)/installed-test
	JAX_NUMPY_RANK_PROMOTION=raise $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"
	JAX_DEBUG_NANS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"
	JAX_DEBUG_INFS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"
	JAX_DISABLE_JIT=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not compiled"
	$(BIN)/python -O -m pytest -W "ignore:assertions not in test modules" -n 2 --dist loadfile -m "not slow"

# With the lowest versions that pyproject.toml allows; what these import is newer, and deprecates.
test-lowest:
	rm -rf build/lowest && $(PYTHON) -m venv build/lowest
	sed -nE 's/^  "([a-z-]+)>=([0-9.]+)",$$/\1==\2/p' pyproject.toml | sort -u > build/lowest.txt
	build/lowest/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[test]" --constraint build/lowest.txt
	build/lowest/bin/python -m pytest -W ignore::DeprecationWarning -n 2 --dist loadfile -m "not slow and not oracle and not once"

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file benchmarks/mypy.ini

bench: $(VENV)/installed-bench
	$(BIN)/python -m pytest benchmarks -m "not long" --results benchmarks/results
	$(BIN)/python benchmarks/summary.py

bench-gpu: $(VENV)/installed-bench
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench,cuda]"
	JAX_PLATFORMS=cuda $(BIN)/python -m pytest benchmarks -m "not long" --results benchmarks/results
	$(BIN)/python benchmarks/summary.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jaxviz needs Python 3.11 or newer; name one with: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist tour atlas
