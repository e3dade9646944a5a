"""Maskers in MAE on STL-10, with equally many visible tokens.

Random masking shows the encoder 36 of 144 tokens for 10 epochs; AMT shows 22,
SBAM about 49 (what its ratio comes to here), so that they are trained for
longer, and for less long: 360, 408 and 358 tokens of an image in all.

Paper:    none at this scale.
Expected: random masking 37.8 ± 1.4 % in kNN, SBAM 2.3 and AMT 3.4 points
          behind; see docs/results.md.
Cost:     12 cells of 7 to 16 epochs.
Command:  python tools/study.py \
              configs/studies/small/maskers_stl10_equal_tokens.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

files = '../../small/mae_stl10_small.py'
axes = {
    '_delete_': True,
    'masker': {
        'random': 'random',
        'SBM': 'sbm',
        'SBAM': {'masker': 'sbam', 'epochs': 7},
        'AMT': {'masker': 'amt', 'config': files, 'epochs': 16},
    },
}
