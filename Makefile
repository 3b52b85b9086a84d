# On a fresh machine Python 3.10+ and make are enough: everything else is installed into .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
WORKERS ?= 2
COVER ?=
export COVERAGE_CORE ?= $(if $(COVER),,sysmon)
# A proxy that opens TLS has its certificate in the system's store: uv looks there, as pip does. Variables that name
# certificates win.
ifeq ($(SSL_CERT_FILE)$(SSL_CERT_DIR),)
export UV_SYSTEM_CERTS ?= true
endif
# Compiled at once: where PYTHONDONTWRITEBYTECODE is set, every start of every command would compile all it imports.
UV     := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt
PACKAGES := -e './tap-amocrm[all]' -e './target-crm[all]' -e ./amocrm-sim
SOURCES := tap-amocrm/tap_amocrm target-crm/target_crm amocrm-sim/amocrm_sim
MANIFESTS := pyproject.toml constraints.txt tap-amocrm/pyproject.toml target-crm/pyproject.toml amocrm-sim/pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help install demo serve test suite test-system suite-citus lint format bench settings constraints clean

help:  ## what can be made here
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

$(BIN)/uv: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; name one with make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

# Meltano installs its plugins once and does not see that their requirements changed: it is made to install them anew.
$(VENV)/.installed: $(BIN)/uv $(MANIFESTS)
	@$(UV) --group run $(PACKAGES)
	@$(BIN)/python -m compileall -q $(SOURCES) || true
	@rm -rf .meltano/extractors .meltano/loaders
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(UV) --group run --group dev $(PACKAGES)
	@touch $@

install: $(VENV)/.installed  ## the three packages and Meltano, into .venv

demo: $(VENV)/.installed  ## a simulated amoCRM, an embedded PostgreSQL, two syncs and what they did, then the review page
	@$(BIN)/python demo/demo.py

serve: $(VENV)/.installed  ## the review page of what was loaded: prints its address
	@$(BIN)/target-crm-admin serve

test: lint suite  ## lint and types first, then the whole suite

# Coverage and its floor (pyproject.toml) are those of the whole suite: a part of it (ARGS=...) is not measured. From Python
# 3.12 on measuring costs next to nothing; before it costs minutes, and is done on demand: make suite COVER=1.
suite: $(VENV)/.installed-dev  ## the whole suite, or a part: make suite ARGS="tests -k pair"
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS) \
	  $(if $(ARGS),,$$($(BIN)/python -c 'import sys; print("--cov --cov-report=term" if "$(COVER)" or sys.version_info >= (3, 12) else "")'))

# What runs on Citus by schema; docs/scaling.md has the result of the last run.
CITUS_TESTS := $(addprefix target-crm/tests/test_crm_,$(addsuffix .py,citus staging many_accounts state_in_database \
  state scaling through matching proposals undo undo_issues admin model kill))
suite-citus: $(VENV)/.installed-dev  ## on a cluster: TEST_CITUS_URL=postgresql://... (deploy/citus-compose.yaml)
	@test -n "$$TEST_CITUS_URL" || { echo "TEST_CITUS_URL names no cluster"; exit 1; }
	@CRM_KILLS=2 CRM_EXAMPLES=6 $(BIN)/python -m pytest -n0 $(CITUS_TESTS) --hypothesis-seed=1

test-system: $(VENV)/.installed-dev  ## the pair, the model and the kills on the system's own PostgreSQL, where there is one
	@CRM_KILLS=2 CRM_EXAMPLES=6 $(BIN)/python tests/support/on_system_server.py $(BIN)/python -m pytest -n $(WORKERS) \
	  --dist loadgroup tests/test_pair.py target-crm/tests/test_crm_model.py target-crm/tests/test_crm_kill.py --hypothesis-seed=1 $(ARGS)

lint: $(VENV)/.installed-dev  ## ruff, mypy --strict, dead code, duplicated code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python tests/support/dead_code.py
	@$(BIN)/python tests/support/duplicates.py $(SOURCES)

format: $(VENV)/.installed-dev  ## let ruff put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.installed-dev  ## every benchmark; tables on the screen, JSON in benchmarks/results
	@$(BIN)/python benchmarks/run.py $(ARGS)

settings: $(VENV)/.installed-dev  ## write the plugins' settings into meltano.yml, plugins and docs/settings.md
	@$(BIN)/python tests/support/meltano_settings.py

constraints: $(BIN)/uv  ## pin the newest versions that fit, for every platform and Python
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --upgrade --no-emit-index-url --no-header --no-annotate --all-extras \
	  --group run --group dev tap-amocrm/pyproject.toml target-crm/pyproject.toml amocrm-sim/pyproject.toml -o constraints.txt

clean:  ## forget the demo's data; .venv stays
	@rm -rf .demo .crm .meltano
