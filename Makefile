# `make demo` and `make test` set up what they need; a second call reuses it.
PYTHON ?= python3
BIN := .venv/bin
CONSTRAINTS := constraints.txt
# Test files run side by side, each on one core.
WORKERS ?= 2

.PHONY: setup demo test lint bench results gpu-check clean
.DELETE_ON_ERROR:

setup: .venv/ready

.venv/ready: setup.cfg pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fusion_lab needs Python 3.11 or newer: name one with `make PYTHON=python3.11`.")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/fusion-lab demo --output outputs/demo

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

# BENCH="--rounds 1 --rows fuse-tita" for less, --long for more.
bench: setup
	$(BIN)/python benchmarks/speed.py $(BENCH)

# RESULTS="--data DIR --official FILE --ifcnn FILE ..." names the data and the official weights.
results: setup
	$(BIN)/python benchmarks/results.py $(RESULTS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# With a GPU: parity, training, resuming and speed; without one: devices and types on fake tensors.
gpu-check: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/devices
	$(BIN)/python benchmarks/gpu.py

clean:
	rm -rf .venv outputs runs data build *.egg-info
