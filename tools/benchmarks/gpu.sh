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
#   WHEELS   a folder of wheels, for a machine that has torch and torchvision
#            with CUDA and nothing else; they are installed beside the results
#            (docs/benchmarks/README.md says how to fill it)
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
RESULTS=$(cd "$RESULTS" && pwd)
rm -f "$RESULTS"/[0-9]*.{json,md,log,failed}

if [ -n "${WHEELS:-}" ]; then
    "$PYTHON" -m pip install -q --no-index --no-deps --upgrade \
        --target "$RESULTS/site" "$WHEELS"/*.whl || exit 1
    export PYTHONPATH="$PYTHONPATH:$RESULTS/site"
fi
if ! said=$("$PYTHON" -W ignore -c \
    'import mmpretrain, pytest, skimage, sklearn, sbam_mm.models' 2>&1); then
    echo "error: $(tail -n 1 <<<"$said"); install the project as the README" \
        'says, or name a folder of wheels in WHEELS.' >&2
    exit 1
fi

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
        limit=$((4 * limit))
        local tiny=(--arch tiny --size 64 --batch 4 --rounds 1)
        if [[ " $* " == *' --compile '* ]]; then tiny+=(--compile); fi
        case $script in
        salience_memory) set -- --length 256 --dim 32 --rounds 1 ;;
        salience_precision) set -- --arch tiny --size 64 --batch 4 \
            --length 256 --images 2 --rounds 1 ;;
        ibot_masking) set -- --arch tiny --size 64 --local 2 --rounds 1 ;;
        small_images) set -- --images 64 --batch 32 --rounds 1 ;;
        *) set -- "${tiny[@]}" ;;
        esac
    fi
    measure "$limit" "$name" "tools/benchmarks/$script.py" "$@" \
        --device "$DEVICE" --out "$RESULTS/$name"
}

# The questions of the whole step first, then what is nice to know; what wants a
# compiler last, so that nothing else is lost where that takes long or fails.
benchmark 55 1_pretrain_step_vitb pretrain_step --arch base --batch 256
benchmark 65 2_pretrain_step_vitl pretrain_step --arch large --batch 256 \
    --rounds 10
benchmark 45 3_masking_overhead masking_overhead --arch large --batch 256 \
    --amp
benchmark 45 4_packing packing --arch large --batch 256 --amp --rounds 8
benchmark 20 5_salience salience_memory --images 8
benchmark 40 5b_salience_precision salience_precision
benchmark 35 6_fast_paths fast_paths --arch base --batch 256 --amp
benchmark 30 7_small_images small_images --rounds 5 --images 16384 --workers 8
benchmark 30 8a_ibot_masking ibot_masking --arch small --batch 32 --amp
benchmark 45 8b_maskers maskers --arch base --batch 128 --amp --rounds 8
benchmark 35 8c_amt_collection amt_collection --arch base --batch 64 --amp \
    --rounds 3

if [ "$DEVICE" = cuda ]; then
    # Only where there are such tests: collecting all takes half a minute.
    mapfile -t files < <(grep -rl 'mark\.gpu' tests --include='test_*.py')
    measure 45 9_tests -m pytest -q -p no:warnings -p no:cacheprovider \
        -m gpu "${files[@]}"
    [ -f "$RESULTS/9_tests.log" ] && "$PYTHON" - "$RESULTS" <<'END'
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
line = (folder / '9_tests.log').read_text().strip().splitlines()[-1]
(folder / '9_tests.json').write_text(json.dumps(dict(summary=line)))
(folder / '9_tests.md').write_text(f'# Tests marked "gpu"\n\n{line}\n')
END
fi

benchmark 65 9a_pretrain_step_compiled_vitb pretrain_step --arch base \
    --batch 256 --compile
benchmark 65 9b_pretrain_step_compiled_vitl pretrain_step --arch large \
    --batch 256 --rounds 8 --compile

"$PYTHON" -W ignore tools/benchmarks/collect.py "$RESULTS" --out "$OUT" |
    tail -n 1
ls "$RESULTS"/*.failed >/dev/null 2>&1 && exit 1
exit 0
