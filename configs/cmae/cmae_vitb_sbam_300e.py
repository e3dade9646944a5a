"""CMAE with SBAM and per-image AMR, ViT-B/16, 300 epochs of ImageNet-1K.

Paper:    none; the SBAM paper has 400 of 800 epochs, cmae_vitb_sbam_800e.py.
          This is the pair of CMAE's own shortest recipe.
Expected: not measured by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/cmae/cmae_vitb_sbam_300e.py 8
"""
_base_ = './cmae_vitb_300e.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.SBAM',
        ratio=0.65,
        delta_r=0.15,
        delta=0.1,
        noise=0.5,
        scope='sample',
        cell=2))
