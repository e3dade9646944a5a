"""data2vec 2.0 on small images: four masks of each, targets of three blocks.

The teacher sees a batch once, the student four times with a fifth of the
patches. `--masker NAME` puts any other masker in the place of the blocks that
stay visible.

Paper:    none; the method of Baevski et al., ICML 2023.
Expected: trains, but minutes do not teach it. On CIFAR-10 (seed 0, mean patch
          token, k=20, 2000 + 500 images) kNN went from 27.0 % to 26.2 % in
          200 steps of 32 while the loss fell from 16.3 to 5.2; features did
          not collapse (target_std 0.98, effective rank 3.2 to 5.9). The 4
          epochs of this config were not run.
Cost:     about 140 images a second of processor time, four masks each,
          measured over these steps.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/data2vec2_small.py
"""
_base_ = './mae_small.py'

model = dict(
    type='sbam_mm.Data2Vec2',
    masker=dict(_delete_=True, type='sbam_mm.InverseBlockMasker', ratio=0.8),
    neck=dict(
        _delete_=True,
        type='sbam_mm.ConvDecoder',
        img_size=32,
        patch_size=4,
        embed_dim=96,
        decoder_embed_dim=96,
        decoder_depth=3),
    head=None,
    target=dict(
        type='sbam_mm.MomentumTeacher',
        momentum=0.99,
        end_momentum=0.999,
        shape='linear'),
    num_masks=4,
    top_k=3)
