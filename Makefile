# make demo   the whole pipeline on real speech, in minutes
# make test   style, types and tests, the tests in two processes
# make faults damaged files by the thousand, in minutes
# make gpu-check  on a machine with a GPU: right numbers and published speeds, in eight minutes, without make setup
# make setup  what both need: a virtual environment with the pinned requirements
PYTHON ?= python3
FRONTEND ?= lfcc
SPEECH ?=
SIZE ?= full

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# With it, each of the hundred Pythons that the tests start would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test faults gpu-check

setup: $(INSTALLED)

$(INSTALLED): requirements.txt requirements-finetune.txt requirements-cluster.txt requirements-onnx.txt requirements-hub.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "SpoofCache needs Python 3.11 or newer: make PYTHON=/path/to/python")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/python tools/demo.py --frontend $(FRONTEND) --size $(SIZE) $(if $(SPEECH),--speech "$(SPEECH)")

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy & types=$$!; $(BIN)/python -m pytest -n 2 --dist worksteal && wait $$types

faults: setup
	$(BIN)/python -m tests.faults.audio_mutants 10000
	$(BIN)/python -m tests.faults.run_mutants 10000
	$(BIN)/python -m tests.faults.text_mutants 10000
	$(BIN)/python -m tests.faults.form_mutants 10000
	$(BIN)/python -m tests.faults.shard_mutants 5000
	$(BIN)/python -m tests.faults.refused_calls
	$(BIN)/python -m tests.faults.kills
	$(BIN)/python -m tests.faults.endings 100

gpu-check:
	PYTHONPATH="$(CURDIR)" $(PYTHON) benchmarks/gpu_check.py
