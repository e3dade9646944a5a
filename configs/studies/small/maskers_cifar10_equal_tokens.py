"""Maskers in MAE on CIFAR-10, with equally many visible tokens.

Random masking shows the encoder 16 of 64 tokens for 10 epochs, 160 of an image
in all; SBAM, whose ratio starts at 0.65 and comes to 0.77, 163. AMT has random
masks for 3 of 14 epochs and shows 10 tokens from then on, 158 in all.

Paper:    none at this scale.
Expected: random masking 36.0 ± 0.7 % in kNN, SBAM 0.9 ahead and AMT 1.4
          points behind, within chance; docs/results.md has what was measured.
Cost:     12 cells of 10 or 14 epochs, about 2.5 minutes each on one CPU core.
Command:  python tools/study.py \
              configs/studies/small/maskers_cifar10_equal_tokens.py \
              --data-root data/cifar10_500_200 --work-dir work_dirs/cifar10 \
              --jobs 2
"""
_base_ = './maskers_cifar10.py'

files = '../../small/mae_small_10e.py'
axes = {
    '_delete_': True,
    'masker': {
        'random': 'random',
        'SBM': 'sbm',
        'SBAM': 'sbam',
        'AMT': {'masker': 'amt', 'config': files, 'epochs': 14},
    },
}
