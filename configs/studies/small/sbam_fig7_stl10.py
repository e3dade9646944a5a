"""SBAM's noise, range and threshold on STL-10, one at a time.

Paper:    none at this scale; Choi et al., ECCV 2024, Fig. 7, has ViT-L on
          ImageNet-1K.
Expected: 2.9 points less in kNN and linear probing without noise, no other
          difference beyond chance; docs/results.md has what was measured.
Cost:     24 cells of 10 epochs, about 5 minutes each on one CPU core.
Command:  python tools/study.py configs/studies/small/sbam_fig7_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

options = {'masker': 'sbam'}
axes = {
    '_delete_': True,
    'model.masker.noise': [0, .25, .5, 1],
    'model.masker.delta_r': [0, .15, .24],
    'model.masker.delta': [.05, .1, .4],
}
around = {
    'model.masker.noise': .5,
    'model.masker.delta_r': .15,
    'model.masker.delta': .1,
}
baseline = None
figures = {
    '_delete_': True,
    'knn': dict(
        kind='lines', x=list(around), metric='knn/avg, k=20',
        label='kNN top-1 [%]'),
    'linear': dict(
        kind='lines', x=list(around), metric='linear-sweep/best',
        label='linear probe top-1 [%]'),
    # As the first graph has it: with and without noise over the epochs.
    'noise-epochs': dict(
        kind='lines', x='epoch', by='model.masker.noise',
        metric='knn/avg, k=20', label='kNN top-1 [%]'),
}
