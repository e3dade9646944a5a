"""All maskers in MAE on STL-10, with equally many steps."""
config = '../../small/mae_stl10_on_device_small.py'
# Maps of every image come with the images, from files.
files = '../../small/mae_stl10_small.py'
axes = {
    'masker': {
        'random': {'masker': 'random'},
        'block': {'masker': 'block'},
        'uniform': {'masker': 'uniform'},
        'centre': {'masker': 'centre'},
        'SBM': {'masker': 'sbm'},
        'SBAM': {'masker': 'sbam'},
        'incoming': {'masker': 'incoming'},
        'AttMask-high': {'masker': 'attmask-high'},
        'AttMask-hint': {'masker': 'attmask-hint'},
        'HPM': {'masker': 'hpm'},
        'GPA, own attention': {'masker': dict(name='gpa', source='self')},
        'AM': {'masker': 'am', 'config': files},
        'AMT': {'masker': 'amt', 'config': files},
    },
}
seeds = [0, 1, 2]
stages = [
    dict(protocol='knn', at=[.25, .5, .75, 1.], settings=dict(k=20)),
    dict(protocol='linear-sweep', settings=dict(
        epochs=20, augment=False, poolings=['avg'])),
]
baseline = dict(masker='random')
figures = dict(
    knn=dict(kind='bars', x='masker', metric='knn/avg, k=20',
             label='kNN top-1 [%]'),
    linear=dict(kind='bars', x='masker', metric='linear-sweep/best',
                label='linear probe top-1 [%]'),
    convergence=dict(kind='lines', x='epoch', by='masker',
                     metric='knn/avg, k=20', label='kNN top-1 [%]'),
    objects=dict(kind='lines', x='epoch', by='masker', metric=[
        'training/object_hidden', 'training/background_hidden',
        'training/boundary_hidden', 'training/auroc']),
)
