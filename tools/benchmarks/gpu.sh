#!/usr/bin/env bash
# Copyright (c) OpenMMLab. All rights reserved.
#
# Everything that wants a GPU, in under nine minutes and without network:
#
#   tools/benchmarks/gpu.sh [OUT]
#
# Writes OUT.json and OUT.md (docs/benchmarks/gpu): all benchmarks on CUDA and
# the tests marked "gpu". Images are photographs that come with scikit-image,
# weights are random: nothing is downloaded.
#   PYTHON   names the interpreter (python, or .venv's if none is activated)
#   DEVICE   cuda; cpu tries the script itself, at toy size
#   SECONDS_LEFT  of everything together (515)
# What is finished stays in PARTS (work_dirs/benchmarks/parts_cuda) whatever
# happens to the rest; tools/benchmarks/collect.py makes the page of it.
set -uo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT" || exit 1
OUT=${1:-docs/benchmarks/gpu}
DEVICE=${DEVICE:-cuda}
END=$((SECONDS + ${SECONDS_LEFT:-515}))
export PYTHONPATH="$ROOT:$ROOT/tests${PYTHONPATH:+:$PYTHONPATH}"
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] &&
        [ -x "$ROOT/.venv/bin/python" ]; then
        PYTHON=$ROOT/.venv/bin/python
    fi
fi
if [ "$DEVICE" = cuda ] && ! "$PYTHON" -c \
    'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo 'error: torch sees no CUDA device; install a torch with CUDA or run' \
        'with DEVICE=cpu to try the script.' >&2
    exit 1
fi

RESULTS=${PARTS:-work_dirs/benchmarks/parts_$DEVICE}
mkdir -p "$RESULTS"
rm -f "$RESULTS"/[0-9]*.{json,md,log,failed}

# measure SECONDS NAME COMMAND...: a benchmark, or why there is no result.
measure() {
    local limit=$1 name=$2 left=$((END - SECONDS)) status
    shift 2
    if [ "$left" -lt "$limit" ]; then limit=$left; fi
    echo "== $name ($limit s at most)"
    if [ "$limit" -le 5 ]; then
        echo 'the time of the whole run was over' >"$RESULTS/$name.failed"
        return
    fi
    timeout -k 5 "$limit" "$PYTHON" -W ignore "$@" >"$RESULTS/$name.log" 2>&1
    status=$?
    if [ -f "$RESULTS/$name.md" ]; then
        : # what was measured counts, however it ended
    elif [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        echo "stopped after $limit s" >"$RESULTS/$name.failed"
    elif [ "$status" -ne 0 ]; then
        tail -n 1 "$RESULTS/$name.log" >"$RESULTS/$name.failed"
    fi
    tail -n 15 "$RESULTS/$name.log"
}

# benchmark SECONDS NAME SCRIPT OPTIONS...
benchmark() {
    local limit=$1 name=$2 script=$3
    shift 3
    if [ "$DEVICE" = cpu ]; then
        case $script in
        salience_memory) set -- --length 256 --dim 32 --rounds 1 ;;
        ibot_masking) set -- --arch tiny --size 64 --local 2 --rounds 1 ;;
        small_images) set -- --images 64 --batch 32 --rounds 1 ;;
        *) set -- --arch tiny --size 64 --batch 4 --rounds 1 ;;
        esac
    fi
    measure "$limit" "$name" "tools/benchmarks/$script.py" "$@" \
        --device "$DEVICE" --out "$RESULTS/$name"
}

# The questions of the whole step first, then what is nice to know.
benchmark 75 1_pretrain_step_vitb pretrain_step --arch base --batch 256
benchmark 95 2_pretrain_step_vitl pretrain_step --arch large --batch 256 \
    --rounds 10
benchmark 50 3_masking_overhead masking_overhead --arch large --batch 256 \
    --amp
benchmark 50 4_packing packing --arch large --batch 256 --amp --rounds 8
benchmark 20 5_salience salience_memory --images 8
benchmark 55 6_fast_paths fast_paths --arch base --batch 256 --amp --compile
benchmark 20 7_small_images small_images --rounds 5
benchmark 35 8a_ibot_masking ibot_masking --arch small --batch 32 --amp
benchmark 55 8b_maskers maskers --arch base --batch 128 --amp --rounds 8

if [ "$DEVICE" = cuda ]; then
    measure 55 9_tests -m pytest -q -p no:warnings -p no:cacheprovider \
        -m gpu tests
    [ -f "$RESULTS/9_tests.log" ] && "$PYTHON" - "$RESULTS" <<'END'
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
line = (folder / '9_tests.log').read_text().strip().splitlines()[-1]
(folder / '9_tests.json').write_text(json.dumps(dict(summary=line)))
(folder / '9_tests.md').write_text(f'# Tests marked "gpu"\n\n{line}\n')
END
fi

"$PYTHON" -W ignore tools/benchmarks/collect.py "$RESULTS" --out "$OUT" |
    tail -n 1
ls "$RESULTS"/*.failed >/dev/null 2>&1 && exit 1
exit 0
