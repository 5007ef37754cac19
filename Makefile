# The project's commands; CI runs the same ones (.ci/run). `make PYTHON=/path/to/python3.11 run` chooses the interpreter.

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
UPGRADE ?=

# A virtual environment that was moved with its folder, or whose interpreter is gone, is built anew.
ifneq ($(shell [ -x $(BIN)/python ] && cat $(VENV)/.made 2>/dev/null),$(CURDIR))
REBUILD := rebuild
endif

RUNTIME := $(VENV)/.runtime $(VENV)/.project
DEV := $(VENV)/.dev $(VENV)/.project

.PHONY: help run test lint bench proto proto-release lock rebuild

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile

run: $(RUNTIME) ## Start everything on this machine and stay until Ctrl-C.
	@exec $(BIN)/python -m server.embedded run

test: $(DEV) ## Run all tests, beside a running `make run` if there is one; ARGS= goes to pytest.
	@exec $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(DEV) ## Style, types, import order, contract, generated code, migrations.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint generated/descriptor.binpb --path analytics
	$(BIN)/buf breaking generated/descriptor.binpb --against proto/released.binpb --path analytics
	$(BIN)/python proto/generate.py --check
	$(BIN)/python -m server.embedded scratch -- sh -c '$(BIN)/python -m server.db setup && $(BIN)/python -m server.db check'

bench: $(DEV) ## Measure against the bare equivalents; ARGS= are measures, --json, --quick (docs/performance.md).
	@exec $(BIN)/python -m bench $(ARGS)

proto: $(DEV) ## Write generated/ from proto/.
	$(BIN)/python proto/generate.py

proto-release: $(DEV) ## Make the present contract the one that may not be broken.
	cp generated/descriptor.binpb proto/released.binpb

LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock' $(UPGRADE)
lock: ## Write requirements*.txt from pyproject.toml (needs uv); UPGRADE=--upgrade takes newer versions.
	@command -v uv >/dev/null || { echo 'make lock: uv is not installed; see https://docs.astral.sh/uv' >&2; exit 2; }
	$(LOCK) --extra local pyproject.toml --output-file requirements.txt
	$(LOCK) --group build --constraint requirements.txt --output-file requirements-build.txt
	$(LOCK) --extra local --extra dev --constraint requirements.txt pyproject.toml --output-file requirements-dev.txt

# What follows builds .venv. A stamp is written only after its step is complete; `.installing` marks a step that was cut
# off, after which everything is built anew, because pip takes a half-written package for an installed one.

PIP_ARGS := --quiet --quiet --disable-pip-version-check --no-compile --no-input

$(VENV)/.runtime: requirements.txt requirements-build.txt $(REBUILD)
	@$(call INSTALL,.runtime,--require-hashes --requirement requirements.txt)

$(VENV)/.dev: requirements-dev.txt requirements-build.txt $(REBUILD)
	@$(call INSTALL,.dev,--require-hashes --requirement requirements-dev.txt)

# The project itself comes after its locked dependencies, whichever set was asked for; hatchling is among the build requirements.
$(VENV)/.project: pyproject.toml $(REBUILD) | $(if $(filter run,$(MAKECMDGOALS)),$(VENV)/.runtime,$(VENV)/.dev)
	@$(call INSTALL,.project,--no-index --no-deps --editable .)

# $(1) is the stamp, $(2) what pip is told. One make at a time, where the machine has flock.
define INSTALL
set -e; \
if command -v flock >/dev/null 2>&1; then exec 9<Makefile; flock 9; fi; \
if [ ! -x $(BIN)/python ] || [ -e $(VENV)/.installing ] || [ "$$(cat $(VENV)/.made 2>/dev/null)" != '$(CURDIR)' ]; then \
  $(FIND_PYTHON); \
  echo "building $(VENV) with $$python"; \
  $(MAKE_VENV); \
fi; \
touch $(VENV)/.installing; \
echo "installing: pip install $(2)"; \
if $(BIN)/python -m pip --version >/dev/null 2>&1; then \
  pip="$(BIN)/python -m pip"; \
else \
  pip="$$(cat $(VENV)/.python) -m pip --python $(BIN)/python"; \
fi; \
{ $$pip install $(PIP_ARGS) --require-hashes --requirement requirements-build.txt && $$pip install $(PIP_ARGS) --no-build-isolation --use-pep517 $(2); } || { echo 'make: the packages could not be installed (see above)' >&2; exit 2; }; \
rm $(VENV)/.installing; \
touch $(VENV)/$(1)
endef

define FIND_PYTHON
python=; \
for candidate in $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python); do \
  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo 'make: no Python 3.11 or newer found (tried: $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python)); install one, or name it: make PYTHON=/path/to/python3.11' >&2; \
  exit 2; \
fi
endef

# Debian's python3 comes without ensurepip: then pip of the interpreter itself installs into the environment.
define MAKE_VENV
rm -rf $(VENV); \
if "$$python" -c 'import ensurepip' >/dev/null 2>&1; then "$$python" -m venv $(VENV); \
elif "$$python" -m pip --python "$$python" --version >/dev/null 2>&1 && "$$python" -m venv --without-pip $(VENV); then :; \
else \
  echo "make: $$python can make no virtual environment with pip; install its package (Debian: apt install python3-venv)" >&2; \
  exit 2; \
fi; \
echo "$$python" > $(VENV)/.python; \
printf '%s' '$(CURDIR)' > $(VENV)/.made
endef

rebuild:
