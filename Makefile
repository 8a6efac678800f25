# Everything sets itself up: the first call makes a virtual environment in .venv.
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
# the first of these that runs and is new enough
PYTHON ?= $(shell for v in python3 python3.14 python3.13 python3.12 python3.11; do $$v -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$v && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL = help
.PHONY: help demo test ends package check lint types docs docs-check sklearn bench torture fuzz clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

$(READY): pyproject.toml
	@$(or $(PYTHON),false) -c '$(NEW_ENOUGH)' || { echo "nmfcompress needs Python 3.11 or later (make PYTHON=/path/to/python)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e '.[dev]'
	@touch $@

demo: $(READY)  ## the main jobs on the sample images (nmfc demo); says where the pictures are
	$(BIN)/nmfc demo -O demo-out -f

test: $(READY)  ## the tests, on every core (NMFC_DATA=folder adds those on real data)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint types test  ## lint, types and tests, which look at the docs, too

ends: $(READY)  ## the tests on the oldest packages that are allowed and on the newest, for each Python here (ARGS="tests/codec -x")
	$(BIN)/python tests/ends.py $(ARGS)

package: $(READY)  ## dist/: what a release has, installed and run where nothing is (ARGS="--tests tests/cli": its tests too)
	$(BIN)/python tests/package.py $(ARGS)

lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy --strict on the package
	$(BIN)/mypy

docs: $(READY)  ## write help texts, outputs and pictures into README.md and docs/
	$(BIN)/python docs/make.py

docs-check: $(READY)
	$(BIN)/python docs/make.py --check

sklearn: $(READY)  ## scikit-learn's own tests of NMF, from its wheel, on nmfcompress.sklearn (ARGS="-x -k transform")
	$(BIN)/python tests/sklearn_own.py $(ARGS)

bench: $(READY)  ## time and quality, against references of the same run (NMFC_DATA=folder; ARGS="--help" lists parts, long ones too)
	$(BIN)/python benchmarks/main.py $(ARGS)

torture: $(READY)  ## kill nmfc at 200 random points, and fill its disks at 50 sizes (ARGS="--kills 20 --sizes 5 --seed 1")
	PYTHONPATH=tests $(BIN)/python -m campaigns torture $(ARGS)

fuzz: $(READY)  ## 100,000 mutations through each door, then atheris (ARGS="--mutations 1000 --seconds 600 --door npz --seed 1")
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install -q -e '.[fuzz]' 2>/dev/null || true
	PYTHONPATH=tests $(BIN)/python -m campaigns fuzz $(ARGS)

clean:  ## remove what the other targets made
	rm -rf $(VENV) build dist demo-out nmfc-out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
