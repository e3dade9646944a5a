"""All maskers in MAE on CIFAR-10, with equally many steps.

The first 500 training and 200 test images of each class, as
`tools/prepare_data.py --data data/cifar10 --per-class 500 200` copies them.

Paper:    none at this scale; the question of all of them.
Expected: random masking 36.0 ± 0.7 % in kNN and 38.0 ± 0.4 % in linear
          probing; SBM 2.1 points ahead in linear probing, nobody beyond chance
          in kNN. docs/results.md has what was measured.
Cost:     57 cells of 10 epochs, about 2.5 minutes each on one CPU core.
Command:  python tools/study.py configs/studies/small/maskers_cifar10.py \
              --data-root data/cifar10_500_200 --work-dir work_dirs/cifar10 \
              --jobs 2
"""
_base_ = './maskers_stl10.py'

config = files = '../../small/mae_small_10e.py'
axes = {
    'masker': {
        'AM': {'config': files},
        'AMT': {'config': files},
    },
}
figures = dict(
    objects=dict(
        _delete_=True, kind='lines', x='epoch', by='masker',
        metric=['training/loss', 'training/visible_tokens'],
        label=['loss', 'visible tokens of 64']))
