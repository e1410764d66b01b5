# Works on a fresh machine that has python3 (3.11 or newer, with venv) and make: every target sets itself up.
# Another Python: make PYTHON=python3.12 setup      More pytest options: make test PYTEST_ARGS="-k pairing"

PYTHON ?= python3
VENV ?= .venv
DEMO_ARGS ?=
PYTEST_ARGS ?=
# Tests side by side, each file on one of so many processes.
TEST_PROCESSES ?= 2
BENCH_ARGS ?=
FAULTS_ARGS ?=
OVERLOAD_ARGS ?=
# NYUDv2 in the folder format, for sensor-study.
DATA ?= data/nyudv2
DEFAULT := asymfusion_ros/checkpoints/default.safetensors
FUZZ_ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
JAZZY := .venv-jazzy
EXTRAS := cluster,demo,export,int8,onnxruntime,ros-wheels,shards,test,train,view

# A trial run stays on this machine: it never joins a robot's network.
export ROS_AUTOMATIC_DISCOVERY_RANGE = LOCALHOST
# The environment is complete in itself. A ROS distribution sourced in the same shell would shadow its
# packages with modules made for another Python or another release.
unexport PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH RMW_IMPLEMENTATION ROS_DISTRO
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help setup demo test lint format bench soak faults overload sensor-study test-jazzy clean fuzz fuzz-files
.DEFAULT_GOAL := help

help:
	@echo "make setup       a virtual environment in $(VENV) with everything, pinned (constraints.txt)"
	@echo "make demo        play a recording through the node and picture the masks (demo/output)"
	@echo "make test        the tests, in one pytest run of TEST_PROCESSES processes (2)"
	@echo "make lint        ruff and mypy"
	@echo "make format      let ruff rewrite what it can"
	@echo "make bench       time each stage from camera bytes to labels"
	@echo "make sensor-study  measure anew what is usual for the default checkpoint, and docs/sensor_monitor.md (DATA)"
	@echo "make fuzz        read 100,000 mutated messages as the node does"
	@echo "make faults      what can go wrong with cameras, clocks, processes, on real DDS (docs/reliability.md)"
	@echo "make overload    frames ten times as fast as they can be segmented (OVERLOAD_ARGS=\"--minutes 10\")"
	@echo "make soak        both"
	@echo "make fuzz-files  thousands of damaged files of every kind that is read (FUZZ_ARGS)"
	@echo "make test-jazzy  the tests against Jazzy's rclpy instead of Kilted's"
	@echo "make clean       remove the environments and everything generated"

setup: $(STAMP)

# setuptools goes first: newer Pythons make environments without it, and building in place with the pinned one
# keeps the set-up the same everywhere.
$(STAMP): setup.py setup.cfg constraints.txt asymfusion_ros/__init__.py
	@test "$$(uname -sm)" = "Linux x86_64" || { echo "make: ROS 2 comes as wheels for x86-64 Linux alone, and this is $$(uname -sm): build with colcon in a ROS distribution instead (docs/install.md)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "make: $(PYTHON) is %d.%d, but the pinned packages need 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)" % sys.version_info[:2])'
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)
	$(BIN)/asymfusion demo $(DEMO_ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Long; the suite has the fast part. FAULTS_ARGS="--patience 4" on a machine that is busy with other things.
soak: faults overload

faults: $(STAMP)
	PYTHONPATH=test $(BIN)/python test/soak/faults.py $(FAULTS_ARGS)

overload: $(STAMP)
	PYTHONPATH=test $(BIN)/python test/soak/overload.py $(OVERLOAD_ARGS)

bench: $(STAMP)
	$(BIN)/asymfusion bench $(BENCH_ARGS)

# After another default checkpoint: its calibration, and the numbers and pictures of docs/sensor_monitor.md.
sensor-study: $(STAMP)
	$(BIN)/asymfusion evaluate default --data $(DATA) --calibrate $(DEFAULT) --check-precisions $(DEFAULT)
	$(BIN)/python -m asymfusion_training.evaluation.sensor_study default --data $(DATA) \
		--json docs/sensor_monitor.json --plot docs/sensor_monitor.png --example docs/sensor_example.png
	$(BIN)/python docs/tables.py

fuzz: $(STAMP)
	$(BIN)/python test/fuzz_messages.py $(FUZZ_ARGS)

fuzz-files: $(STAMP)
	$(BIN)/python test/fuzz_files.py $(FUZZ_ARGS)

# The same wheels' Jazzy releases, in an environment of their own.
$(JAZZY)/.set-up: $(STAMP) constraints-jazzy.txt
	@$(JAZZY)/bin/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m venv --clear $(JAZZY)
	@grep -v '^ros-' constraints.txt > $(JAZZY)/constraints.txt
	$(JAZZY)/bin/python -m pip install --quiet --constraint $(JAZZY)/constraints.txt setuptools
	$(JAZZY)/bin/python -m pip install --quiet --constraint $(JAZZY)/constraints.txt \
		--constraint constraints-jazzy.txt --no-build-isolation --editable '.[$(EXTRAS)]'
	@touch $@

test-jazzy: $(JAZZY)/.set-up
	$(JAZZY)/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) $(JAZZY) build install log demo/output *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
