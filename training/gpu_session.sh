#!/usr/bin/env bash
# What a GPU is wanted for, a stage a call, so that a session of any length gets something done: the practical network
# at full resolution, with shared and with individual convolutions, the same on colour alone to compare with; the
# default's network, taught by both; the paper's network; and their scores.
#
#   training/gpu_session.sh data/nyudv2 runs/gpu speed          how fast training is
#   training/gpu_session.sh data/nyudv2 runs/gpu lite2          then individual, rgb: each a run of 300 epochs
#   training/gpu_session.sh data/nyudv2 runs/gpu student        after lite2 or individual, or both
#   training/gpu_session.sh data/nyudv2 runs/gpu refinenet101   PRETRAINED=FILE: of ResNet-101, without internet access
#   training/gpu_session.sh data/nyudv2 runs/gpu scores         of the runs that are there
#   timeout 9m training/gpu_session.sh data/nyudv2 runs/gpu lite2
#
# Interrupted, the same line goes on where it was; a run that is finished ends at once. SAVE_EVERY: seconds between
# two savings (default 30). What a run needs is in its folder: copy that to go on elsewhere.
set -euo pipefail
DATA=${1:?folder with NYUDv2, as asymfusion prepare nyudv2 makes it}
OUTPUT=${2:?folder for checkpoints and scores}
STAGE=${3:?stage: speed, lite2, individual, rgb, student, refinenet101 or scores}
LITE2=(--recipe nyudv2_efficientnet_lite2 --set input.height=480 --set input.width=640 --set 'crop=[384,512]')
# Held frames, as few readers keep up with a GPU. Noise of the depth is made by readers alone.
LONG=(--set epochs=300 --set batch=16 --set precision=bf16 --set ema=0.999 --set weight_decay=0.05
    --set network.dropout=0.2 --set class_balance=0.25 --set modality_dropout=0.3 --set 'scale=[0.5,2.0]'
    --set depth_noise=0 --set depth_holes=0 --set blur=0.2 --set cutout=0.3 --set validate_every=20)
mkdir -p "$OUTPUT"

train() { # NAME, then options
    local run=$OUTPUT/$1
    shift
    local resume=()
    [ -f "$run/state.pt" ] && resume=(--resume)
    asymfusion train --data "$DATA" --device cuda --hold-frames --save-every "${SAVE_EVERY:-30}" --output "$run" \
        "$@" ${resume[@]+"${resume[@]}"}
}

teachers() { # those that are there, as a YAML list
    local found=()
    for run in lite2 individual; do
        [ -f "$OUTPUT/$run/best.safetensors" ] && found+=("$OUTPUT/$run/best.safetensors")
    done
    [ ${#found[@]} -gt 0 ] || {
        echo "student: $OUTPUT has no teacher: run the stage lite2 or individual first" >&2
        exit 1
    }
    (IFS=,; echo "[${found[*]}]")
}

evaluate() { # NAME, then options
    local run=$1
    shift
    asymfusion evaluate "$OUTPUT/$run/best.safetensors" --data "$DATA" --device cuda "$@"
}

case $STAGE in
speed)
    python -m asymfusion_training.speed --device cuda --steps 30 "${LITE2[@]}" "${LONG[@]}" |
        tee "$OUTPUT/speed.txt"
    ;;
lite2) train lite2 "${LITE2[@]}" "${LONG[@]}" ;;
individual) train individual "${LITE2[@]}" "${LONG[@]}" --set network.shared_convs=false ;;
rgb) train rgb "${LITE2[@]}" "${LONG[@]}" --set 'network.modalities=[rgb]' --set modality_dropout=0 ;;
student)
    taught=$(teachers)
    train student --recipe nyudv2_efficientnet_lite0 --set input.height=360 --set input.width=480 \
        --set 'crop=[288,384]' "${LONG[@]}" --set "teachers=$taught"
    ;;
refinenet101) train refinenet101 --recipe nyudv2_refinenet101 --set "pretrained=${PRETRAINED:-imagenet}" ;;
scores)
    rgb=$OUTPUT/rgb/best.safetensors
    for run in lite2 individual rgb student refinenet101; do
        [ -f "$OUTPUT/$run/best.safetensors" ] || continue
        compare=()
        case $run in
        lite2 | individual) [ -f "$rgb" ] && compare=(--bootstrap --against "$rgb") ;;
        student) compare=(--bootstrap --against default) ;;
        esac
        evaluate $run --json "$OUTPUT/$run.json" --confusion "$OUTPUT/$run.png" ${compare[@]+"${compare[@]}"} |
            tee "$OUTPUT/$run.txt"
        [ $run = rgb ] && continue
        evaluate $run --modalities rgb | tee "$OUTPUT/${run}_rgb_alone.txt"
        evaluate $run --modalities depth | tee "$OUTPUT/${run}_depth_alone.txt"
    done
    ;;
*)
    echo "unknown stage '$STAGE': use speed, lite2, individual, rgb, student, refinenet101 or scores" >&2
    exit 1
    ;;
esac
