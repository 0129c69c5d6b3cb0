# make demo    score the dump that ships with the project and write demo-report.html
# make test    set up what the tests need and run them (DATA=path to the shared data, where there is some)
# make lint    ruff and strict pyright
# make soak    10,000 programs with attacks among them: nothing is left, memory stays flat (needs Docker)
# make bench   every figure that README states
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint soak bench clean

demo: $(VENV)/demo
	$(BIN)/rlvr demo

test: $(VENV)/dev
	$(BIN)/python -m pytest

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

soak: $(VENV)/dev
	SOAK=10000 $(BIN)/python -m pytest tests/sandbox/test_leftovers.py

bench: $(VENV)/dev
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/score_dump.py
	$(BIN)/python benchmarks/math_accuracy.py
	$(BIN)/python benchmarks/math_speed.py
	$(BIN)/python benchmarks/hostile_math.py
	$(BIN)/python benchmarks/sandbox.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet .
	touch $@

$(VENV)/dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
