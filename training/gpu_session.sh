#!/usr/bin/env bash
# Everything that a GPU is wanted for, in one go: the default checkpoint trained longer than a CPU can, the
# same without depth to compare with, their scores, and how fast training is. About an hour on an H100.
#
#   training/gpu_session.sh data/nyudv2 runs/gpu
#
# Interrupted, the same line goes on where it was.
set -euo pipefail
DATA=${1:?folder with NYUDv2, as 'asymfusion prepare nyudv2' makes it}
OUTPUT=${2:?folder for checkpoints and scores}
LONGER=(--set epochs=300 --set batch=16 --set precision=bf16 --set ema=0.999 --set validate_every=10)
mkdir -p "$OUTPUT"

train() { # NAME, then settings
    local run=$OUTPUT/$1
    shift
    local resume=()
    [ -f "$run/state.pt" ] && resume=(--resume)
    asymfusion train --data "$DATA" --device cuda --workers 12 --output "$run" \
        "${LONGER[@]}" "$@" ${resume[@]+"${resume[@]}"}
}

python -m asymfusion_training.loop.speed --device cuda --steps 30 --set precision=bf16 --set batch=16 |
    tee "$OUTPUT/speed.txt"
train rgbd
train rgb --set 'network.modalities=[rgb]'
train lite2 --recipe nyudv2_efficientnet_lite2
for run in rgbd lite2; do
    best=$OUTPUT/$run/best.safetensors
    asymfusion evaluate "$best" --data "$DATA" --bootstrap --against "$OUTPUT/rgb/best.safetensors" \
        --json "$OUTPUT/$run.json" --confusion "$OUTPUT/$run.png" | tee "$OUTPUT/$run.txt"
    asymfusion evaluate "$best" --data "$DATA" --modalities rgb | tee "$OUTPUT/${run}_rgb_alone.txt"
    asymfusion evaluate "$best" --data "$DATA" --modalities depth | tee "$OUTPUT/${run}_depth_alone.txt"
done
