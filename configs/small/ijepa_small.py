"""I-JEPA on small images: four target blocks and their context.

Of 8 x 8 patches about half are targets, and most others context. The predictor
is half as wide as the encoder and two blocks deep. `--masker NAME` puts any
other masker in the place of I-JEPA's own; what it masks is one target then.

Paper:    none; the method of Assran et al., CVPR 2023.
Expected: not measured by this project.
Cost:     not measured by this project.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/ijepa_small.py
"""
_base_ = './mae_small.py'

model = dict(
    type='sbam_mm.IJEPA',
    masker=dict(_delete_=True, type='sbam_mm.IJEPAMasker'),
    neck=dict(
        _delete_=True,
        type='sbam_mm.JEPAPredictor',
        img_size=32,
        patch_size=4,
        embed_dim=96,
        decoder_embed_dim=48,
        decoder_depth=2,
        decoder_num_heads=3),
    head=None,
    momentum=0.99)
