"""All maskers in MAE on CIFAR-10, with equally many steps.

Paper:    none at this scale; the question of all of them.
Expected: not measured by this project.
Cost:     39 cells of 20 epochs of 50,000 images; on two CPU cores about a
          minute per epoch.
Command:  python tools/study.py configs/studies/small/maskers_cifar10.py \
              --data-root data/cifar10 --work-dir work_dirs/cifar10 --jobs 2
"""
_base_ = './maskers_stl10.py'

config = '../../small/mae_on_device_small.py'
options = {'epochs': 20}
files = '../../small/mae_small.py'
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
