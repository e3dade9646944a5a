"""All maskers in MAE on STL-10, with equally many steps.

Paper:    none at this scale; the question of all of them.
Expected: random masking 37.8 ± 1.4 % in kNN and nobody ahead of it beyond
          chance; docs/results.md has what was measured.
Cost:     57 cells of 10 epochs, about 4 minutes each on one CPU core.
Command:  python tools/study.py configs/studies/small/maskers_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
config = '../../small/mae_stl10_on_device_small.py'
# Stored maps come with the images, from files.
files = '../../small/mae_stl10_small.py'
axes = {
    'masker': {
        'random': 'random',
        'block': 'block',
        'uniform': 'uniform',
        'centre': 'centre',
        'SBM': 'sbm',
        'SBAM': 'sbam',
        'incoming': 'incoming',
        'AttMask-high': 'attmask-high',
        'AttMask-hint': 'attmask-hint',
        'HPM': 'hpm',
        'GPA, own attention': dict(name='gpa', source='self', block=3, head=2),
        'ColorMAE-green': 'colormae-green',
        'inverse block': 'inverse-block',
        'I-JEPA': 'i-jepa',
        'AutoMAE': 'automae',
        'self-guided': 'self-guided',
        'curriculum': 'curriculum',
        'AM': {'masker': 'am', 'config': files},
        'AMT': {'masker': 'amt', 'config': files},
    },
}
seeds = [0, 1, 2]
stages = [
    dict(protocol='knn', at=[.5, 1.], settings=dict(k=20)),
    dict(protocol='linear-sweep', settings=dict(
        epochs=20, augment=False, poolings=['avg'])),
]
baseline = dict(masker='random')
figures = dict(
    knn=dict(kind='points', x='masker', metric='knn/avg, k=20',
             label='kNN top-1 [%]'),
    linear=dict(kind='points', x='masker', metric='linear-sweep/best',
                label='linear probe top-1 [%]'),
    convergence=dict(kind='lines', x='epoch', by='masker',
                     metric='knn/avg, k=20', label='kNN top-1 [%]'),
    objects=dict(
        kind='lines', x='epoch', by='masker',
        metric=['training/object_hidden', 'training/background_hidden',
                'training/auroc'],
        label=['share of objects hidden', 'share of background hidden',
               'AUROC of the scores for objects']),
)
