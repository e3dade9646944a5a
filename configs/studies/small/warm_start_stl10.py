"""Salience from the start, or after a fifth of random masking.

Paper:    none at this scale; the authors of Choi et al., ECCV 2024, resume a
          plain MAE of 100 epochs.
Expected: no difference beyond chance; see docs/results.md.
Cost:     15 cells of 10 epochs.
Command:  python tools/study.py configs/studies/small/warm_start_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

axes = {
    '_delete_': True,
    'arm': {
        'random': {'masker': 'random'},
        **{
            f'{name}, {when}': {
                'masker': dict(name=name.lower(), start_epoch=epoch)
            } if epoch else {'masker': name.lower()}
            for name in ('SBM', 'SBAM')
            for when, epoch in (('from the start', 0), ('warm start', 2))
        },
    },
}
baseline = dict(_delete_=True, arm='random')
figures = dict(
    knn=dict(x='arm'),
    linear=dict(x='arm'),
    convergence=dict(by='arm'),
    objects=dict(by='arm'))
