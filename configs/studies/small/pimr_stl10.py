"""Robustness to the masking ratio on STL-10, as in SBAM's Fig. 3.

Of one ratio all maskers keep the same number of patches, rounded down as in
MAE's code; "incoming" is the paper's reading of AMT.

Paper:    none at this scale; Choi et al., ECCV 2024, Fig. 3 and supplement
          Fig. 2, compare on ImageNet-1K and print no values.
Expected: not measured by this project.
Cost:     48 cells of 10 epochs.
Command:  python tools/study.py configs/studies/small/pimr_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

axes = dict(
    _delete_=True,
    masker=['random', 'sbm', 'sbam', 'incoming'],
    ratio=[.45, .6, .75, .9])
rounding = 'floor'
figures = dict(
    _delete_=True,
    pimr=dict(kind='pimr', x='ratio', by='masker', metric='knn/avg, k=20',
              label='kNN top-1 [%]'),
    linear=dict(kind='pimr', x='ratio', by='masker',
                metric='linear-sweep/best', label='linear probe top-1 [%]'),
    heat=dict(kind='heat', x='ratio', y='masker', metric='knn/avg, k=20',
              label='kNN top-1 [%]'))
