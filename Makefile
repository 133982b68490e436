# make demo   two trained streams on synthetic clips, and what there is to see of them
# make test   the whole test suite
# make bench  the benchmarks
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := MIGA_OUTPUTS=$(CURDIR)/outputs $(CURDIR)/$(BIN)/papermill --log-output --no-progress-bar

.PHONY: install demo test bench lint clean

install: $(VENV)/installed

$(VENV)/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

demo: install
	mkdir -p outputs/notebooks
	cd notebooks && $(RUN) 04_train.ipynb ../outputs/notebooks/04_train_joint.ipynb -p stream joint
	cd notebooks && $(RUN) 04_train.ipynb ../outputs/notebooks/04_train_limb.ipynb -p stream limb
	$(BIN)/python -m miga_lib.runs
	@echo "Executed notebooks with all figures: outputs/notebooks/"

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify --extra-keys "metadata.papermill cell.metadata.papermill metadata.widgets" notebooks/*.ipynb
	$(BIN)/python -m pytest

bench: install
	$(BIN)/python -m pytest benchmarks --benchmark-only

clean:
	rm -rf $(VENV)
