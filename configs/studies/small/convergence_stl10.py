"""How fast: random masking, SBM and SBAM over the epochs, on STL-10.

Paper:    none at this scale; Choi et al., ECCV 2024, Fig. 4 and 6, have ViT-L
          on ImageNet-1K.
Expected: all three alike: 38.4 ± 1.3 % in kNN with random masking; SBAM is
          behind in linear probing. docs/results.md has what was measured.
Cost:     9 cells of 20 epochs, about 9 minutes each on one CPU core.
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
    convergence=dict(
        metric=['knn/avg, k=20', 'linear-sweep/best'],
        label=['kNN top-1 [%]', 'linear probe top-1 [%]']))
