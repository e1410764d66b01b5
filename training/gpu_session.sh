#!/usr/bin/env bash
# What a GPU is wanted for, a stage a call, so that a session of any length gets something done: the practical network
# at full resolution, with shared and with individual convolutions, the same on colour alone to compare with, and
# their scores.
#
#   training/gpu_session.sh data/nyudv2 runs/gpu speed          how fast training is
#   training/gpu_session.sh data/nyudv2 runs/gpu lite2          then individual, rgb: each a run of 300 epochs
#   training/gpu_session.sh data/nyudv2 runs/gpu scores         of the runs that are there
#   timeout 9m training/gpu_session.sh data/nyudv2 runs/gpu lite2
#
# Interrupted, the same line goes on where it was; a run that is finished ends at once. SAVE_EVERY: seconds between
# two savings (default 30). What a run needs is in its folder: copy that to go on elsewhere.
set -euo pipefail
DATA=${1:?folder with NYUDv2, as asymfusion prepare nyudv2 makes it}
OUTPUT=${2:?folder for checkpoints and scores}
STAGE=${3:?stage: speed, lite2, individual, rgb or scores}
RECIPE=(--recipe nyudv2_efficientnet_lite2)
# Held frames: no reader is fast enough for a GPU. Noise of the depth is made by readers alone.
LONG=(--set input.height=480 --set input.width=640 --set 'crop=[384,512]' --set epochs=300 --set batch=16
    --set precision=bf16 --set ema=0.999 --set validate_every=20 --set depth_noise=0 --set depth_holes=0
    --set blur=0.2 --set cutout=0.3)
mkdir -p "$OUTPUT"

train() { # NAME, then settings
    local run=$OUTPUT/$1
    shift
    local resume=()
    [ -f "$run/state.pt" ] && resume=(--resume)
    asymfusion train --data "$DATA" --device cuda --hold-frames --save-every "${SAVE_EVERY:-30}" --output "$run" \
        "${RECIPE[@]}" "${LONG[@]}" "$@" ${resume[@]+"${resume[@]}"}
}

evaluate() { # NAME, then options
    local run=$1
    shift
    asymfusion evaluate "$OUTPUT/$run/best.safetensors" --data "$DATA" --device cuda "$@"
}

case $STAGE in
speed)
    python -m asymfusion_training.speed --device cuda --steps 30 "${RECIPE[@]}" "${LONG[@]}" |
        tee "$OUTPUT/speed.txt"
    ;;
lite2) train lite2 ;;
individual) train individual --set network.shared_convs=false ;;
rgb) train rgb --set 'network.modalities=[rgb]' ;;
scores)
    for run in lite2 individual rgb; do
        [ -f "$OUTPUT/$run/best.safetensors" ] || continue
        compare=()
        [ $run != rgb ] && [ -f "$OUTPUT/rgb/best.safetensors" ] &&
            compare=(--bootstrap --against "$OUTPUT/rgb/best.safetensors")
        evaluate $run --json "$OUTPUT/$run.json" --confusion "$OUTPUT/$run.png" ${compare[@]+"${compare[@]}"} |
            tee "$OUTPUT/$run.txt"
        [ $run = rgb ] && continue
        evaluate $run --modalities rgb | tee "$OUTPUT/${run}_rgb_alone.txt"
        evaluate $run --modalities depth | tee "$OUTPUT/${run}_depth_alone.txt"
    done
    ;;
*)
    echo "unknown stage '$STAGE': use speed, lite2, individual, rgb or scores" >&2
    exit 1
    ;;
esac
