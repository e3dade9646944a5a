"""MAE with random masking on STL-10, which knows where its objects are.

Every epoch logs how much of the objects and of the background the masker
hides: its own masks, those by nothing but the distance to the centre
("centre/..."), and SBM's at the weights of the moment ("sbm/...").

Paper:    none; 96 x 96 images, ViT of 4 blocks, 96 wide, patches of 8.
Expected: with the images in memory 37.8 ± 1.4 % kNN (k = 20, mean patch
          token) and 38.9 ± 1.2 % linear top-1, see docs/results.md.
Cost:     4,000 images of 96 x 96; three to five minutes on one CPU core.
Command:  DATA_ROOT=data/stl10 .venv/bin/python tools/train.py \
              configs/small/mae_stl10_small.py
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mae_stl10.py',
    '../_base_/datasets/stl10_96.py',
    '../_base_/schedules/small_10e.py',
]

# Minutes long: the last checkpoints will do.
default_hooks = dict(checkpoint=dict(milestones=None))
custom_hooks = _base_.custom_hooks + [
    dict(
        type='sbam_mm.KNNHook',
        bank=_base_.knn_bank,
        query=_base_.knn_query,
        # A curve to look at, not the final number.
        interval=5,
        at_start=True,
        num_train=1000,
        num_test=500),
    dict(
        type='sbam_mm.MaskMetricsHook',
        images=_base_.knn_query,
        annotations=_base_.object_masks,
        maskers=dict(
            centre=dict(
                type='sbam_mm.Masker',
                salience=dict(type='sbam_mm.CentreSalience'),
                ratio=dict(type='sbam_mm.FixedRatio', ratio=0.75),
                selection=dict(type='sbam_mm.NoisyTopK', noise=0.5)),
            sbm=dict(type='sbam_mm.SBM', ratio=0.75)),
        at_start=True),
]
