# `make run` and `make test` are all that a fresh machine needs; both set up what they use.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
COMPILE = $(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate
WORKERS ?= 7
# Tests start hundreds of programs: each would compile all of its modules anew.
unexport PYTHONDONTWRITEBYTECODE
# Tests without a server, a database or a tool of others; gates in virtual time, and proofs by many examples or by a schema
# of everything (marked so), are left to `make unit`.
QUICK = $(addprefix tests/unit/, gates/judge gates/sources gates/config gates/domain gates/commands \
	healthd/addresses healthd/checks healthd/monitoring healthd/notify deploy docs/test_docstrings.py) \
	$(addprefix --ignore=tests/unit/, $(SLOWER))

# Files of these folders that build a release, start programs, or have replicas share the file of a journal.
SLOWER = deploy/image deploy/release deploy/core/test_interrupts.py \
	$(addprefix healthd/monitoring/test_, acknowledgements.py windows.py) \
	$(addprefix healthd/notify/test_, killed_while_telling.py replicas.py windows_of_replicas.py)

# Judge files that cover nothing which shorter ones do not.
SLOW_PROOFS = $(addprefix --ignore=tests/unit/gates/judge/test_, false_rollback.py properties.py validity.py)

.PHONY: run test quick coverage demo unit lint install docs lock bench build release tagged site clean

# In the shell's place: make hands SIGTERM on to what it has started, and a shell would keep it.
run: $(VENV)/.run
	export PYTHONPATH=$(CURDIR)/gates:$(CURDIR)/deploy; exec $(BIN)/python -m healthd run

# In the order that tests/conftest.py gives: by number of tests, the longest files would come last and alone. Many tests
# wait most of their time: four workers leave almost half of two processors idle.
test: install
	$(BIN)/python -m tests.servers.install
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# A good deploy and a bad one, with everything on loopback; ends by itself.
demo: $(VENV)/.run
	export PYTHONPATH=$(CURDIR)/gates:$(CURDIR)/deploy; exec $(BIN)/python -m deploy.demo $(ARGS)

unit: install
	$(BIN)/pytest -q -n $(WORKERS) tests/unit

# What can be told without a server: for the time between two lines of code.
quick: install
	$(BIN)/pytest -q -n 2 -m "not proof" $(QUICK)

# Fails where no test takes a line or a branch of the judge or of the engine; proofs by many examples are not needed for
# that.
coverage: install
	$(BIN)/pytest -q -n $(WORKERS) --cov --cov-report= --cov-fail-under=0 tests/unit/gates/judge tests/unit/gates/engine $(SLOW_PROOFS)
	$(BIN)/coverage report --include='*/judge/*' --fail-under=100
	$(BIN)/coverage report --include='*/engine/*' --fail-under=100

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m bench

build: install
	$(BIN)/python -m build --no-isolation --wheel --outdir dist .

# All that a release consists of, but for the image; RELEASE.md says the rest.
release: tagged $(VENV)/.release
	$(BIN)/python -m deploy.release build $(ARGS)

# Before minutes of installing.
tagged:
	@case "$(ARGS)" in *--untagged*) ;; *) git describe --exact-match --tags --match 'v[0-9]*' > /dev/null 2>&1 || { \
		echo "no tag vX.Y.Z stands at this commit: make release ARGS=--untagged builds it all the same, to try it out" >&2; \
		exit 2; }; esac

# The documentation as a site in site/; any warning ends it.
site: install
	$(BIN)/python -m mkdocs build --quiet --clean

install: $(VENV)/.dev

docs: install
	$(BIN)/python -m docs.generate
	$(BIN)/python -m grafana.build
	$(BIN)/python -m deploy.kubernetes.rules

# Exact versions for every platform, with hashes.
lock: $(BIN)/uv
	$(COMPILE) pyproject.toml -o requirements/run.lock
	$(COMPILE) --extra apprise --extra aws --extra grpc --extra mysql --extra otlp pyproject.toml -c requirements/run.lock -o requirements/container.lock
	$(COMPILE) --group build -o requirements/build.lock
	$(COMPILE) --all-extras --group dev pyproject.toml -c requirements/run.lock -o requirements/dev.lock
	$(COMPILE) --group release -c requirements/dev.lock -o requirements/release.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-deps --group servers -o requirements/servers.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-deps --group node -o requirements/node.lock

$(BIN)/uv: $(VENV)/bin/python
	$(BIN)/pip install -q uv

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "healthd needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.lock | $(VENV)/bin/python
	@echo "Installing $$(grep -c == requirements/run.lock) packages into $(VENV): a minute or two, without a word."
	$(BIN)/pip install -q --require-hashes -r requirements/run.lock
	touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing $$(grep -c == requirements/dev.lock) packages into $(VENV): some minutes, without a word."
	$(BIN)/pip install -q --no-compile --require-hashes -r requirements/dev.lock # two thirds of it nobody imports
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	touch $@ $(VENV)/.run

$(VENV)/.release: requirements/release.lock | $(VENV)/bin/python
	@echo "Installing $$(grep -c == requirements/release.lock) packages into $(VENV): a minute, without a word."
	$(BIN)/pip install -q --require-hashes -r requirements/release.lock
	touch $@

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache
