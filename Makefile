# make demo    score the dump that ships with the project and write demo-report.html
# make test    set up what the tests need and run them (DATA=path to the shared data, where there is some)
# make test-trl  the trainer's equations beside TRL's, which gets an environment of its own
# make lint    ruff and strict pyright
# make bench   every figure that README states
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-trl lint bench clean

demo: $(VENV)/demo
	$(BIN)/rlvr demo

test: $(VENV)/dev
	$(BIN)/python -m pytest

test-trl: $(VENV)/dev $(VENV)-trl/records.pt
	RLVR_TRL_RECORDS=$(VENV)-trl/records.pt $(BIN)/python -m pytest tests/trainer/test_trl.py

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/dev
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/score_dump.py
	$(BIN)/python benchmarks/math_accuracy.py
	$(BIN)/python benchmarks/math_speed.py
	$(BIN)/python benchmarks/hostile_math.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet .
	touch $@

$(VENV)/dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

$(VENV)-trl/records.pt: tests/trainer/trl_record.py
	$(PYTHON) -m venv $(VENV)-trl
	$(VENV)-trl/bin/python -m pip install --quiet torch==2.13.0
	$(VENV)-trl/bin/python -m pip install --quiet trl==1.16.0
	$(VENV)-trl/bin/python tests/trainer/trl_record.py $@

clean:
	rm -rf $(VENV) $(VENV)-trl build *.egg-info .pytest_cache .ruff_cache .hypothesis
