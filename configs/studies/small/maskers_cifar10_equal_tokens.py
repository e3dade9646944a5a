"""Maskers in MAE on CIFAR-10, with equally many visible tokens.

Random masking shows the encoder 16 of 64 tokens for 10 epochs; AMT shows 10,
SBAM about 14.5 (what its ratio comes to here).

Paper:    none at this scale.
Expected: not measured by this project.
Cost:     12 cells of 10 to 16 epochs.
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
        'SBAM': {'masker': 'sbam', 'epochs': 11},
        'AMT': {'masker': 'amt', 'config': files, 'epochs': 16},
    },
}
