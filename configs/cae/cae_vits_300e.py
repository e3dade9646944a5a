"""CAE with blocks of hidden patches, ViT-S/16, 300 epochs: the baseline.

The target is the paper's, DALL-E's visual tokens: DALLE_ENCODER names the
tokenizer's weights. To train without them, on normalised pixels, which is not
the paper's model, write in a config that has this one as its ``_base_``:
``model = dict(head=dict(_delete_=True, type='sbam_mm.PixelHead'),
neck=dict(out_dims=768))``. No stochastic depth, as in mmpretrain (the
official base model has 0.1), so that maskers with a ratio per image compare.

Paper:    Chen et al., Context Autoencoder for Self-Supervised Representation
          Learning, IJCV 2023. GPA's baseline is cae_vits_50e.py.
Expected: not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet DALLE_ENCODER=dalle_encoder.pth \
              tools/dist_train.sh configs/cae/cae_vits_300e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/cae_vits.py',
    '../_base_/datasets/imagenet_224_cae.py',
    '../_base_/schedules/cae_300e.py',
]
