"""I-JEPA on small images: four target blocks and their context.

Of 8 x 8 patches about half are targets, and most others context. The predictor
is half as wide as the encoder and two blocks deep. `--masker NAME` puts any
other masker in the place of I-JEPA's own; what it masks is one target then.

Paper:    none; the method of Assran et al., CVPR 2023.
Expected: trains, but minutes do not teach it. On CIFAR-10 (seed 0, mean patch
          token, k=20, 2000 + 500 images) kNN fell from 23.4 % to 21.0 % in
          250 steps of 32 while the loss fell from 0.73 to 0.08. The tokens'
          targets stayed apart (target_std 0.58), but images came closer: the
          effective rank of their features fell from 3.1 to 1.9. The 4 epochs
          of this config were not run.
Cost:     about 150 images a second of processor time, measured over these
          steps.
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
