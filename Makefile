# make demo   two streams trained on synthetic clips for half of the usual epochs, and what there is to see of them
# make test   the whole test suite, on all cores
# make journeys  the commands of the pages for users, run in their order; some minutes
# make bench  the benchmarks
# make detect  MediaPipe, in an environment of its own, for `python -m miga_lib.detect`; Python 3.11 or 3.12
# make sweep  the notebooks over the grid of parameters in workflow/config.yaml
# make soak   training made to fail in the ways that it does fail in; about half an hour
# make mutants  small changes to modules, and how many of them the tests find; parameters in docs/reliability.md
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := MIGA_OUTPUTS=$(CURDIR)/outputs $(CURDIR)/$(BIN)/papermill --log-output --no-progress-bar

.PHONY: install demo test lint suite journeys bench detect sweep soak mutants clean

install: $(VENV)/installed

# Made before anything is installed, since the environments of Snakemake and MediaPipe lie in it, too.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

demo: install
	mkdir -p outputs/notebooks
	cd notebooks && $(RUN) 04_train.ipynb ../outputs/notebooks/04_train_joint.ipynb -p stream joint -p epochs 30
	cd notebooks && $(RUN) 04_train.ipynb ../outputs/notebooks/04_train_limb.ipynb -p stream limb -p epochs 30
	cd notebooks && $(RUN) 05_confusion.ipynb ../outputs/notebooks/05_confusion.ipynb
	cd notebooks && $(RUN) 06_ensemble.ipynb ../outputs/notebooks/06_ensemble.ipynb
	$(BIN)/python -m miga_lib.runs
	@echo "Executed notebooks with all figures: outputs/notebooks/"
	@ls -d outputs/ensembles/*/Submission.zip
	@echo "Test clips with the predictions of the ensemble, for any browser:"
	@ls outputs/pages/*.html

test: lint suite

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify --extra-keys "metadata.papermill cell.metadata.papermill metadata.widgets" notebooks/*.ipynb

suite: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $$($(BIN)/python -c "import joblib; print(min(8, joblib.cpu_count()))") --dist loadfile --no-loadscope-reorder

journeys: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m journey tests/test_journeys.py

bench: install
	$(BIN)/python -m pytest benchmarks --jaxtyping-packages= --benchmark-only -s -q
	$(BIN)/python benchmarks/scaling.py --figure outputs/scaling.png

sweep: install $(VENV)/sweep/installed
	mkdir -p outputs
	cd outputs && ../$(VENV)/sweep/bin/snakemake --snakefile ../workflow/Snakefile --profile ../workflow/profiles/local

soak: install $(VENV)/sweep/installed
	$(BIN)/python benchmarks/soak.py

BASE ?= origin/main
MODULES ?= $(shell git diff --name-only --diff-filter=d $(BASE) -- 'miga_lib/*.py')
TESTS ?= $(wildcard $(sort $(foreach module,$(MODULES),tests/test_$(notdir $(module)) tests/test_$(notdir $(patsubst %/,%,$(dir $(module)))).py)))
MUTANTS := $(VENV)/mutants
READ_BY_TESTS := benchmarks docs notebooks workflow README.md CONTRIBUTING.md Makefile .pre-commit-config.yaml
toml = [$(foreach path,$(1),\"$(path)\",)]

mutants: install $(VENV)/mutmut-3.8.1
	$(if $(TESTS),,$(error no tests for MODULES = $(MODULES); name some in TESTS))
	rm -rf $(MUTANTS) && mkdir $(MUTANTS) && cd $(MUTANTS) && ln -s $(addprefix ../../,miga_lib tests $(READ_BY_TESTS)) .
	awk '{ print } /^\[tool.mutmut\]/ { print "only_mutate = $(call toml,$(MODULES))\npytest_add_cli_args_test_selection = $(call toml,$(TESTS))\nalso_copy = $(call toml,$(READ_BY_TESTS))" }' \
		pyproject.toml > $(MUTANTS)/pyproject.toml
	# Imported once, with the type checker, and shared by all mutants.
	printf '%s\n' 'from jaxtyping import install_import_hook' 'import sys' 'sys.path.append("tests")' \
		'install_import_hook("miga_lib", "typechecking.check")' 'import scipy.stats, sklearn.metrics, miga_lib.notebook' > $(MUTANTS)/checked.py
	cd $(MUTANTS) && echo checked > preload.txt && OMP_NUM_THREADS=1 nice ../bin/mutmut run --max-children 1
	cd $(MUTANTS) && ../bin/mutmut results --all true | sed -E 's/^ *(.*)\.x.*: (.*)$$/\1: \2/' | sort | uniq -c

$(VENV)/mutmut-%:
	$(BIN)/python -m pip install --quiet --disable-pip-version-check mutmut==$*
	touch $@

# Snakemake has an environment of its own.
$(VENV)/sweep/installed: workflow/requirements.txt | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/sweep
	$(VENV)/sweep/bin/python -m pip install --quiet --disable-pip-version-check -r workflow/requirements.txt
	touch $@

# MediaPipe needs an older numpy.
detect: $(VENV)/detect/installed

$(VENV)/detect/installed: miga_lib/detect/requirements.txt | $(BIN)/python
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 13) else \
		"MediaPipe needs Python 3.11 or 3.12: make detect PYTHON=python3.12, or use --detector rtmlib")'
	$(PYTHON) -m venv $(VENV)/detect
	$(VENV)/detect/bin/python -m pip install --quiet --disable-pip-version-check -r miga_lib/detect/requirements.txt
	touch $@

clean:
	rm -rf $(VENV)
