# The project's verbs. Each works on a fresh clone: the first makes the virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARCHIVE ?= demo-archive
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: test-cases fuzz page docs sbom audit drill demo test test-cluster test-crash test-power test-corpora validate check lock format serve bench evaluate install

install: $(VENV)/installed

# A new pyproject.toml or lock installs again. Every file that pip downloads must have the hash that the lock has.
$(VENV)/installed: pyproject.toml setup.py requirements/development.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/development.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Writes the lock anew after a change of dependencies, with the versions it has. `make lock UPGRADE=1` takes the newest.
# runtime.txt is for the container image; development.txt adds what tests, checks and training need.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--annotation-style line --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

lock:
	test -x $(BIN)/uv || $(MAKE) install
	$(COMPILE) pyproject.toml --extra all --extra training --group dev --output-file requirements/development.txt
	$(COMPILE) pyproject.toml --extra all --constraint requirements/development.txt --output-file requirements/runtime.txt
	$(BIN)/python requirements/check.py

demo: install
	$(BIN)/python -m demo

# The browser's tests run by themselves: Playwright keeps an event loop running in its process.
test: install
	$(BIN)/python -m pytest tests/browser
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --ignore=tests/browser

# The tests marked `cluster`: real PostgreSQL and Milvus servers, which this target installs, starts and stops.
test-cluster: install
	$(BIN)/python -m tests.cluster.install
	BANDSIGHT_TEST_CLUSTER=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m cluster --ignore=tests/browser

# The long form of tests/archive/test_crash.py: writers killed 500 times, then readers beside a writer for two minutes.
# A stopped run goes on where it was.
test-crash: install
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.crash --kills 500 --readers 120

# The long form of tests/archive/test_power_cuts.py: what 10,000 power cuts may leave of a writer's work. Needs strace.
test-power: install
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.powercut --replays $(or $(REPLAYS),10000)

# Eight clients, an indexer, backups and compactions at once, while things break; the short form is tests/test_drill.py.
drill: install
	$(BIN)/python -W ignore -m tests.drill --seconds $(or $(SECONDS),600)

# The long form of tests/search_api/stac/test_openapi_cases.py: more than 10,000 made-up requests, with and without keys.
test-cases: install
	BANDSIGHT_CASES=$(or $(CASES),120) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s tests/search_api/stac/test_openapi_cases.py

# Fuzzes every decoder and parser, SECONDS each, from where the last run ended; the short form is tests/test_fuzz.py.
# Atheris guides it by coverage. It has wheels for Linux only, and stays out of the lock.
fuzz: install .cache/atheris/atheris
	PYTHONPATH=.cache/atheris OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.fuzz --seconds $(or $(SECONDS),600)

.cache/atheris/atheris:
	$(BIN)/python -m pip install --quiet --no-deps --target .cache/atheris atheris==3.0.0

# What Bandsight takes each raster of public test corpora for (one folder for each clone in DIR), compared with
# docs/corpora.csv; WRITE=1 writes that table anew.
test-corpora: install
	$(BIN)/python -W ignore -m bench.corpora $(DIR) $(if $(WRITE),--write)

# stac-api-validator against a served archive. It pins what this project does not, so it has a venv of its own.
validate: install .venv-validate/bin/stac-api-validator
	$(BIN)/python -m tests.validators --validator .venv-validate/bin/stac-api-validator

.venv-validate/bin/stac-api-validator:
	$(PYTHON) -m venv .venv-validate
	.venv-validate/bin/pip install --quiet stac-api-validator==0.6.8

# All packages of the image with versions and hashes, as CycloneDX JSON, from the lock.
sbom: .venv-sbom/bin/cyclonedx-py
	mkdir -p runs
	.venv-sbom/bin/cyclonedx-py requirements requirements/runtime.txt --pyproject pyproject.toml --mc-type application \
		--output-reproducible --of JSON --output-file runs/sbom.json

.venv-sbom/bin/cyclonedx-py:
	$(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/pip install --quiet cyclonedx-bom==7.5.0

# The lock against known vulnerabilities. It asks the package index, because no current database of advisories can be installed.
audit: .venv-audit/bin/pip-audit
	.venv-audit/bin/pip-audit --requirement requirements/runtime.txt --require-hashes --disable-pip

.venv-audit/bin/pip-audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet pip-audit==2.10.1

check: install
	$(BIN)/python requirements/check.py
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

# The documentation as a site in runs/site; a warning, such as a link that leads nowhere, is an error.
docs: install
	$(BIN)/python -W ignore -m docs.cli_reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

serve: install
	$(BIN)/bandsight serve --archive $(ARCHIVE)

# The model card's figures; DATA is the folder with the training data.
evaluate: install
	$(BIN)/python -m training.evaluate --data $(DATA)

bench: install
	$(BIN)/python -m bench
