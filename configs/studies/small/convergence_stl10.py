"""How fast: random masking, SBM and SBAM over the epochs, on STL-10.

Paper:    none at this scale; Choi et al., ECCV 2024, Fig. 4 and 6, have ViT-L
          on ImageNet-1K.
Expected: not measured by this project.
Cost:     15 cells of 40 epochs.
Command:  python tools/study.py configs/studies/small/convergence_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

options = {'epochs': 40}
axes = dict(
    _delete_=True, masker=dict(random='random', SBM='sbm', SBAM='sbam'))
seeds = [0, 1, 2, 3, 4]
stages = [
    dict(protocol='knn', at=4, settings=dict(k=20)),
    dict(protocol='linear-sweep', at=[.25, .5, .75, 1.], settings=dict(
        epochs=20, augment=False, poolings=['avg'])),
]
figures = dict(
    linear=dict(kind='lines', x='epoch', by='masker'))
