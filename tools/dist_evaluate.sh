#!/usr/bin/env bash
# Copyright (c) OpenMMLab. All rights reserved.
#
# Judge an encoder with several processes of one machine, or of several:
#
#   tools/dist_evaluate.sh CHECKPOINT GPUS [options of tools/evaluate.py]
#
# Machines, ports and the interpreter are chosen as in tools/dist_train.sh.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CHECKPOINT GPUS [options of tools/evaluate.py]" >&2
    exit 2
fi

DIST_SCRIPT=evaluate.py exec "$(dirname "${BASH_SOURCE[0]}")/dist_train.sh" \
    "$@"
