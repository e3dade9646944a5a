"""Is it AMR, any variety, or the ratio? SBAM's controls on STL-10.

AMR takes a ratio from 0.6 to 0.9 by the image's salience; the controls draw it
from there, or have one for all images, each with salience and with random
masks.

Paper:    none; what Choi et al., ECCV 2024, leave open about AMR.
Expected: SBAM 39.0 ± 0.8 % in kNN, ratios from 0.6 to 0.75 level with it,
          0.9 behind; docs/results.md has what was measured.
Cost:     27 cells of 10 epochs.
Command:  python tools/study.py configs/studies/small/amr_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

noisy = dict(type='sbam_mm.NoisyTopK', noise=.5)
affinity = dict(type='sbam_mm.AffinitySalience')
axes = {
    '_delete_': True,
    'arm': {
        'SBAM (AMR)': {'masker': 'sbam'},
        'salience, random ratio': {
            'model.masker': dict(
                type='sbam_mm.Masker', salience=affinity, selection=noisy,
                ratio=dict(type='sbam_mm.RandomRatio', low=.6, high=.9)),
        },
        'random, random ratio': {'masker': 'random-ratio'},
        **{f'salience, {ratio}': {'masker': 'sbm', 'ratio': ratio}
           for ratio in (.6, .75, .9)},
        **{f'random, {ratio}': {'masker': 'random', 'ratio': ratio}
           for ratio in (.6, .75, .9)},
    },
}
seeds = [0, 1, 2]
baseline = dict(_delete_=True, arm='SBAM (AMR)')
figures = dict(
    knn=dict(x='arm'),
    linear=dict(x='arm'),
    convergence=dict(by='arm'),
    objects=dict(
        _delete_=True, kind='points', x='arm',
        metric='training/visible_tokens', label='visible tokens of 144'))
