# The project's verbs. Each works on a fresh clone: the first makes the virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARCHIVE ?= demo-archive
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: page demo test test-crash validate check format serve bench evaluate install

install: $(VENV)/installed

# A new pyproject.toml or constraints file installs again.
$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $@

demo: install
	$(BIN)/python -m demo

# The browser's tests run by themselves: Playwright keeps an event loop running in its process.
test: install
	$(BIN)/python -m pytest tests/browser
	$(BIN)/python -m pytest --ignore=tests/browser

# The long form of tests/archive/test_crash.py: writers killed 500 times, then readers beside a writer for two minutes.
# A stopped run goes on where it was.
test-crash: install
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.crash --kills 500 --readers 120

# stac-api-validator against a served archive. It pins what this project does not, so it has a venv of its own.
validate: install .venv-validate/bin/stac-api-validator
	$(BIN)/python -m tests.validators --validator .venv-validate/bin/stac-api-validator

.venv-validate/bin/stac-api-validator:
	$(PYTHON) -m venv .venv-validate
	.venv-validate/bin/pip install --quiet stac-api-validator==0.6.8

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Builds the page anew from web/, byte for byte what ships in search_api/static; needs Node 20 or newer.
page:
	cd web && npm ci --no-audit --no-fund && npm run build

serve: install
	$(BIN)/bandsight serve --archive $(ARCHIVE)

# The model card's figures; DATA is the folder with the training data.
evaluate: install
	$(BIN)/python -m training.evaluate --data $(DATA)

bench: install
	$(BIN)/python -m bench
