#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: an environment, the tests that need the GPU, and the speed of each way to run the
# network on it. About half an hour, most of it installing and building.
#
#   test/gpu.sh runs/gpu                      tests, then speed.json there
#   PYTHON=python3.12 test/gpu.sh runs/gpu    with another Python (3.11 or newer)
#   VENV=/path test/gpu.sh runs/gpu           in an environment that is there already: nothing is installed. On a
#                                             Jetson, one with JetPack's torch and TensorRT
set -euo pipefail
cd "$(dirname "$0")/.."
OUTPUT=${1:?folder for what is measured}
mkdir -p "$OUTPUT"
if [ -z "${VENV:-}" ]; then
    make setup ${PYTHON:+PYTHON="$PYTHON"}
    VENV=$PWD/.venv
    "$VENV/bin/pip" install --quiet --constraint constraints.txt tensorrt ||
        echo "TensorRT could not be installed: measuring without it" >&2
fi
BIN=$VENV/bin
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
nvidia-smi > "$OUTPUT/nvidia-smi.txt" 2>&1 || echo "no nvidia-smi" > "$OUTPUT/nvidia-smi.txt"
"$BIN/python" -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "test/gpu.sh: torch sees no GPU: is it a CUDA build (python -m torch.utils.collect_env), and the driver there?")'
status=0
"$BIN/python" -m pytest test/engine/test_cuda.py test/engine/test_fused_labels.py | tee "$OUTPUT/tests.txt" || status=1
"$BIN/python" test/gpu_speed.py --output "$OUTPUT" || status=1
exit $status
