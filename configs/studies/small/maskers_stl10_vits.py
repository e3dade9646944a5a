"""Random masking, SBM, SBAM and the centre: ViT-S, 100 epochs of STL-10.

Paper:    none at this scale; the question of all of them.
Expected: not measured by this project.
Cost:     12 cells of 100 epochs; not measured by this project.
Command:  python tools/study.py configs/studies/small/maskers_stl10_vits.py \
              --data-root data/stl10 --work-dir work_dirs/vits --jobs 12
"""
_base_ = './maskers_stl10.py'

config = '../../small/mae_stl10_vits_100e.py'
axes = dict(
    masker=dict(
        _delete_=True, random='random', centre='centre', SBM='sbm',
        SBAM='sbam'))
stages = [
    dict(protocol='knn', at=[.1, .25, .5, .75, 1.], settings=dict(k=20)),
    dict(protocol='linear-sweep', settings=dict(
        epochs=20, augment=False, poolings=['avg'])),
]
