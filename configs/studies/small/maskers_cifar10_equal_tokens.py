"""Maskers in MAE on CIFAR-10, with equally many visible tokens.

Random masking shows the encoder 16 of 64 tokens for 20 epochs; AMT shows 10,
SBAM about 22 (what its ratio comes to here).

Paper:    none at this scale.
Expected: not measured by this project.
Cost:     12 cells of 15 to 32 epochs of 50,000 images.
Command:  python tools/study.py \
              configs/studies/small/maskers_cifar10_equal_tokens.py \
              --data-root data/cifar10 --work-dir work_dirs/cifar10 --jobs 2
"""
_base_ = './maskers_cifar10.py'

files = '../../small/mae_small.py'
axes = {
    '_delete_': True,
    'masker': {
        'random': 'random',
        'SBM': 'sbm',
        'SBAM': {'masker': 'sbam', 'epochs': 15},
        'AMT': {'masker': 'amt', 'config': files, 'epochs': 32},
    },
}
