#!/usr/bin/env bash
# Copyright (c) OpenMMLab. All rights reserved.
#
# Train on a Slurm cluster:
#
#   tools/slurm_train.sh PARTITION JOB CONFIG WORK_DIR [options of tools/train.py]
#
#   GPUS           GPUs in all                      (8)
#   GPUS_PER_NODE  GPUs of one machine              (8, or GPUS if fewer)
#   CPUS_PER_TASK  cores for the loading of a GPU   (10)
#   SRUN_ARGS      further options of srun
#   PYTHON         the interpreter                  (python)
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB CONFIG WORK_DIR" \
        "[options of tools/train.py]" >&2
    exit 2
fi
PARTITION=$1
JOB=$2
CONFIG=$3
WORK_DIR=$4
shift 4

if ! command -v srun > /dev/null; then
    echo "error: srun is not on this machine; run this on a Slurm login node," \
        "or tools/dist_train.sh on a machine with GPUs." >&2
    exit 1
fi

GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
CPUS_PER_TASK=${CPUS_PER_TASK:-10}
# Several options in one variable, hence split at spaces.
read -r -a EXTRA <<< "${SRUN_ARGS:-}"

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$(dirname "$TOOLS")${PYTHONPATH:+:$PYTHONPATH}"

exec srun -p "$PARTITION" \
    --job-name="$JOB" \
    --gres="gpu:$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="$CPUS_PER_TASK" \
    --kill-on-bad-exit=1 \
    ${EXTRA[@]+"${EXTRA[@]}"} \
    "${PYTHON:-python}" -u "$TOOLS/train.py" "$CONFIG" \
    --work-dir "$WORK_DIR" --launcher slurm "$@"
