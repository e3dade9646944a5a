"""How fast: random masking, SBM and SBAM over the epochs, on STL-10.

Paper:    none at this scale; Choi et al., ECCV 2024, Fig. 4 and 6, have ViT-L
          on ImageNet-1K.
Expected: not measured by this project.
Cost:     9 cells of 20 epochs.
Command:  python tools/study.py configs/studies/small/convergence_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

options = {'epochs': 20}
axes = dict(
    _delete_=True, masker=dict(random='random', SBM='sbm', SBAM='sbam'))
stages = [
    dict(protocol='knn', at=[.1, .2, .4, .6, .8, 1.], settings=dict(k=20)),
    dict(protocol='linear-sweep', at=[.2, .4, .6, .8, 1.], settings=dict(
        epochs=20, augment=False, poolings=['avg'])),
]
figures = dict(
    linear=dict(kind='lines', x='epoch', by='masker'))
