# The Real-Time Lab. Everything starts from python3 (3.11 or newer, with venv) and make.
# Each target creates .venv and installs what it needs; a second call finds it there and starts at once.

PYTHON ?= python3
# Those that we name, oldest first.
PYTHONS := 3.11 3.12 3.13 3.14
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# What an installation is made from. Its checksum is kept in STAMP, so that a changed pin, another checkout
# folder or a Python that went away is noticed, and nothing else costs time.
INPUTS := Makefile requirements.txt pyproject.toml package.json package-lock.json
STAMP := $(VENV)/installed
FINGERPRINT := { cat $(INPUTS); pwd -P; } | cksum
# JupyterLab would ask on its first start whether it may fetch news; this lab needs no network.
LAB_SETTINGS := $(VENV)/share/jupyter/lab/settings
OFFLINE := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}
# JupyterLab refuses to run as root unless told so. Whoever is root in a container wants to be told nothing.
AS_ROOT := $(shell [ "$$(id -u)" != 0 ] || echo --allow-root)
# One worker more than processors: most tests wait for something more often than they work.
WORKERS := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1 )))
PARALLEL := -n $(WORKERS) --dist loadfile
# tests/conftest.py has the files that take longest begin.
ORDERED := $(PARALLEL) --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help lab install test test-notebooks test-pythons test-long mutants check format notebooks requirements clean

help:  ## what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: install  ## open the course in JupyterLab, chapter 00 in front; ARGS="--no-browser --port 8899" are passed on
	@PATH="$(CURDIR)/$(BIN):$$PATH" exec $(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" \
		--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(AS_ROOT) $(ARGS)

install:  ## create .venv with the pinned packages, rtlab and the JavaScript client
	@if [ "$$($(FINGERPRINT))" = "$$(cat $(STAMP) 2>/dev/null)" ] && $(BIN)/python -c "" 2>/dev/null; then exit 0; fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another one: make PYTHON=python3.12" >&2; exit 1; }; \
	rm -f $(STAMP); \
	$(BIN)/python -c "" 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) || { \
		echo "python3 could not create $(VENV). On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }; \
	echo "Installing into $(VENV) (a minute or two, once) …"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --ignore-scripts --silent && \
	mkdir -p $(LAB_SETTINGS) && printf '%s\n' '$(OFFLINE)' > $(LAB_SETTINGS)/overrides.json && \
	$(FINGERPRINT) > $(STAMP) && echo "Installed."

test: install  ## all that is quick: rtlab, the graders, every notebook compared with its committed outputs
	@$(BIN)/python -m pytest $(ORDERED) tests notebooks --nbval $(ARGS)

test-notebooks: install  ## the notebooks alone, compared with their committed outputs
	@$(BIN)/python -m pytest $(PARALLEL) notebooks --nbval $(ARGS)

test-pythons:  ## check and test on the oldest and the newest Python of this machine, the notebooks on each in between
	@found=""; kept="$$(pyenv root 2>/dev/null)/versions"; \
	for version in $(PYTHONS); do \
		python=""; \
		for candidate in python$$version "$$kept/$$version".*/bin/python$$version; do \
			[ -z "$$python" ] && $$candidate -c "" 2>/dev/null && python=$$candidate; \
		done; \
		if [ -n "$$python" ]; then newest=$$python; found="$$found $$python"; \
		else echo "Python $$version is not on this machine: skipped"; fi; \
	done; \
	[ -n "$$found" ] || { echo "None of these is here as pythonX.Y or with pyenv: $(PYTHONS)" >&2; exit 1; }; \
	set -- $$found; oldest=$$1; \
	for python in $$found; do \
		began=$$(date +%s); folder=.venv-$${python##*python}; rm -rf $$folder; \
		case $$python in $$oldest|$$newest) targets="check test";; *) targets=test-notebooks;; esac; \
		$(MAKE) PYTHON=$$python VENV=$$folder $$targets || exit 1; \
		echo "$$($$python -V): $$targets took $$(($$(date +%s) - began)) s with the installation"; \
	done

test-long: install  ## what takes longer: every notebook twice in one kernel, kills, browsers
	@$(BIN)/python -m pytest $(ORDERED) -m long tests $(ARGS)

mutants: install  ## change each solution in one place at a time and list what no grader sees; ARGS=06 for one exercise
	@$(BIN)/python tests/grade_mutants.py $(ARGS)

check: install  ## format, lint, strict types, floors, notebook lint
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && \
	$(BIN)/python -m pytest -q tests/test_floors.py tests/test_notebook_lint.py

format: install  ## put the code into the house's format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

notebooks: install  ## execute notebooks in fresh kernels and write them back normalised; ARGS=notebooks/00_start_here.ipynb for one
	@$(BIN)/python tests/execute_notebooks.py $(ARGS)

requirements: install  ## resolve requirements.txt anew, for every supported Python and platform
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade pyproject.toml \
		--no-emit-index-url --no-header --output-file requirements.txt $(ARGS)

clean:  ## remove what was installed and cached, never what you wrote
	@rm -rf $(VENV) .venv-3.* node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .mutants
