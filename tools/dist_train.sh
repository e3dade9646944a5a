#!/usr/bin/env bash
# Copyright (c) OpenMMLab. All rights reserved.
#
# Train with several processes of one machine, or of several:
#
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# On a machine without a GPU, GPUS processes share its CPU (gloo).
# Several machines: run it on each, with
#   NNODES       number of machines          (1)
#   NODE_RANK    number of this machine      (0)
#   MASTER_ADDR  address of machine 0        (127.0.0.1)
#   PORT         a free port of machine 0    (29500; one machine: any free one)
# PYTHON names the interpreter (python, or .venv's if none is activated).
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
shift 2
if ! [[ $GPUS =~ ^[1-9][0-9]*$ ]]; then
    echo "error: GPUS is '$GPUS'; give the number of processes, e.g. 8." >&2
    exit 2
fi
NNODES=${NNODES:-1}
for NAME in NNODES NODE_RANK PORT; do
    VALUE=${!NAME:-0}
    if ! [[ $VALUE =~ ^[0-9]+$ ]] || [ "$VALUE" -gt 65535 ]; then
        echo "error: $NAME is '$VALUE'; give a whole number." >&2
        exit 2
    fi
done
if [ "${NODE_RANK:-0}" -ge "$NNODES" ]; then
    echo "error: NODE_RANK is '${NODE_RANK:-0}' of NNODES $NNODES machines;" \
        "they are numbered from 0." >&2
    exit 2
fi

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$TOOLS")
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] &&
        [ -x "$ROOT/.venv/bin/python" ]; then
        PYTHON=$ROOT/.venv/bin/python
    fi
fi

if ! command -v "$PYTHON" >/dev/null; then
    echo "error: the interpreter '$PYTHON' is not there; set PYTHON to one," \
        "or call make install." >&2
    exit 2
fi

if [ "$NNODES" = 1 ] && [ -z "${PORT:-}" ]; then
    # A free port is found, so that two trainings can share a machine.
    RENDEZVOUS=(--standalone)
else
    RENDEZVOUS=(
        --nnodes="$NNODES"
        --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}"
        --master_port="${PORT:-29500}"
    )
fi

exec "$PYTHON" "$TOOLS/start_processes.py" "${RENDEZVOUS[@]}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/${DIST_SCRIPT:-train.py}" "$CONFIG" --launcher pytorch "$@"
