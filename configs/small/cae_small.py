"""CAE on small images, with blocks of hidden patches and pixels as target.

Pixels, because the paper's target needs the weights of DALL-E's tokenizer.

Paper:    none; the method of Chen et al., IJCV 2023, with another target.
Expected: not measured by this project.
Cost:     not measured by this project.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/cae_small.py
"""
_base_ = './mae_small.py'

model = dict(
    type='sbam_mm.CAE',
    backbone=dict(layer_cfgs=dict(layer_scale_init_value=0.1)),
    masker=dict(type='sbam_mm.BlockMasker', ratio=0.5, min_area=4),
    neck=dict(
        _delete_=True,
        type='sbam_mm.ContextRegressor',
        embed_dims=96,
        num_heads=3,
        regressor_depth=2,
        decoder_depth=2,
        # Pixels of a patch: 4 x 4 x 3.
        out_dims=48))
optim_wrapper = dict(clip_grad=dict(max_norm=3.0))
