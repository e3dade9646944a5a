"""Robustness to the masking ratio on small images, as in SBAM's Fig. 3.

All maskers keep the same number of patches, rounded down as in MAE's code.

Paper:    none at this scale; Choi et al., ECCV 2024, Fig. 3 compares MAE and
          SBM with ViT-L on ImageNet-1K and prints no values.
Expected: no masker ahead of another beyond the spread over seeds; what was
          run of it is in docs/robustness.md.
Cost:     36 cells of 4 epochs; with 50,000 images about a minute per epoch on
          two CPU cores, and as much again for kNN, so an afternoon.
Command:  .venv/bin/python tools/study.py \
              configs/studies/small/pimr_cifar10.py --data-root data/cifar10
"""
config = '../../small/mae_small.py'
axes = dict(masker=['random', 'sbm', 'sbam'], ratio=[.45, .6, .75, .9])
seeds = [0, 1, 2]
rounding = 'floor'
baseline = dict(masker='random')
figures = dict(
    pimr=dict(kind='pimr', x='ratio', by='masker', label='kNN top-1 [%]',
              metric='training/knn_top1'))
