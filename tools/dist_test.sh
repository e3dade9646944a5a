#!/usr/bin/env bash
# Copyright (c) OpenMMLab. All rights reserved.
#
# Evaluate with several processes of one machine, or of several:
#
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
#
# Machines, ports and the interpreter are chosen as in tools/dist_train.sh.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
shift 3

DIST_SCRIPT=test.py exec "$(dirname "${BASH_SOURCE[0]}")/dist_train.sh" \
    "$CONFIG" "$GPUS" "$CHECKPOINT" "$@"
