"""data2vec 2.0 on small images: four masks of each, targets of three blocks.

The teacher sees a batch once, the student four times with a fifth of the
patches. `--masker NAME` puts any other masker in the place of the blocks that
stay visible.

Paper:    none; the method of Baevski et al., ICML 2023.
Expected: not measured by this project.
Cost:     not measured by this project.
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
