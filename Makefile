# Everything a developer does; each target installs what it needs, inside this folder.
PYTHON ?= python3
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed node_modules/.package-lock.json
# Tests wait for processes and services as often as they compute; one at a time, so that the long ones begin first.
WORKERS := $(shell $(PYTHON) -c 'import os; print(min(8, 2 * os.cpu_count()))')
PYTEST := $(BIN)/python -m pytest -p no:cacheprovider
# The tests of what decides: no hosts, no browser, no processes.
SHELL_TESTS := browser kill package docs bench cli commands worker function_app secrecy recorded security architecture
CORE := tests/rules tests/app/test_preflight.py tests/commands/test_preflight.py \
	$(filter-out $(SHELL_TESTS:%=tests/\%_%.py),$(wildcard tests/test_*.py))
PARALLEL := -n $(WORKERS) --dist load --maxschedchunk 1

.PHONY: demo test check infra package deploy-test tools bench audit mutants kills faults fuzz coverage docs requirements clean

demo: $(INSTALLED) ## Run the retailer's story against the simulator; leaves build/demo/
	$(BIN)/python -m simulator.demo

test: $(INSTALLED) ## All tests
	$(PYTEST) $(PARALLEL) $(TESTS)

infra: $(INSTALLED) tools ## Templates, ./deploy and the package, with everything that checks them
	$(PYTEST) $(PARALLEL) tests/infra tests/test_package.py

package: $(INSTALLED) .venv-infra/installed ## Build what Azure runs (Python 3.13): size, cold start, functions, doctor
	$(PYTEST) -s tests/test_package.py

deploy-test: $(INSTALLED) .venv-az/installed ## ./deploy by the real Azure CLI (700 MB) against a stand-in for Azure
	$(PYTEST) tests/infra/test_real_az.py

tools: .venv-infra/installed .venv-az/installed ## checkov, shellcheck, the doctor and the Azure CLI, apart from the rest

check: $(INSTALLED) ## Lint, types, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict shared function_app.py
	$(BIN)/python -m shared.rules --check docs/rules.md

bench: $(INSTALLED) ## Reading Graph beside the typed SDK, the event path, whole scans of large tenants
	$(BIN)/python -m bench.graph
	$(BIN)/python -m bench.drift
	$(BIN)/python -m bench.scale

audit: $(INSTALLED) ## bandit over the code, pip-audit over the pinned packages
	$(BIN)/python -m tests.audit

mutants: $(INSTALLED) ## Break each invariant of the design by a patch: the tests must notice
	$(BIN)/python -m tests.mutants

kills: $(INSTALLED) ## Kill the app at each of its requests, and between its writes
	$(PYTEST) $(PARALLEL) -k killed tests/test_kill.py tests/app tests/clients

faults: $(INSTALLED) ## 60 days of faults against a model, for SEEDS seeds; SEED=N replays one
	$(BIN)/python -m tests.endurance $(if $(SEED),--seed $(SEED),$(SEEDS))

fuzz: $(INSTALLED) ## Whatever others write and we read: SECONDS a target, guided by coverage on Python 3.12 and newer
	$(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS))

coverage: $(INSTALLED) ## Lines and branches of the core by its own tests, against the least of pyproject.toml
	$(PYTEST) $(PARALLEL) --cov=shared $(CORE)

docs: $(INSTALLED) ## Write docs/rules.md from the rules, and draw the README's cards
	$(BIN)/python -m shared.rules docs/rules.md
	$(BIN)/python -m simulator.demo --pictures docs/images

requirements: $(INSTALLED) ## Pin the newest versions, with hashes
	$(BIN)/python -m uv pip compile --universal --no-strip-extras --python-version 3.11 --generate-hashes --no-header --upgrade --quiet requirements.in -o requirements.txt
	$(BIN)/python -m uv pip compile --universal --no-strip-extras --python-version 3.11 --generate-hashes --no-header --upgrade --quiet requirements-dev.in -c requirements.txt -o requirements-dev.txt
	for name in infra az; do $(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --upgrade --quiet requirements-$$name.in -o requirements-$$name.txt; done

clean: ## Remove what was installed and built
	rm -rf .venv-* node_modules build

$(VENV)/installed: requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	touch $@

.venv-infra/installed .venv-az/installed: .venv-%/installed: requirements-%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	touch $@

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	touch $@
