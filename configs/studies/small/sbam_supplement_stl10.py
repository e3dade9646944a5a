"""Outgoing or incoming, where, and how deep a decoder: SBAM on STL-10.

Paper:    none at this scale; Choi et al., ECCV 2024, supplement Table 2,
          Fig. 2 and 4, have ImageNet-1K.
Expected: none ahead of SBAM as published in kNN, incoming salience 10.8 ± 1.7
          points behind; docs/results.md has what was measured.
Cost:     18 cells of 10 epochs, about 5 minutes each on one CPU core.
Command:  python tools/study.py \
              configs/studies/small/sbam_supplement_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

options = {'masker': 'sbam'}
axes = {
    '_delete_': True,
    'model.masker.salience.direction': ['outgoing', 'incoming'],
    'model.masker.salience.layer': [0, 2, 4],
    'model.neck.decoder_depth': [1, 2, 4],
}
around = {
    'model.masker.salience.direction': 'outgoing',
    'model.masker.salience.layer': 0,
    'model.neck.decoder_depth': 1,
}
baseline = None
figures = dict(
    _delete_=True,
    knn=dict(
        kind='points', x=list(around), metric='knn/avg, k=20',
        label='kNN top-1 [%]'),
    linear=dict(
        kind='points', x=list(around), metric='linear-sweep/best',
        label='linear probe top-1 [%]'),
    time=dict(
        kind='bars', x='model.masker.salience.layer',
        metric='training/images_per_second', label='images per second'),
)
