"""CMAE with SBAM and per-image AMR, ViT-B/16, 300 epochs of ImageNet-1K.

Paper:    none; the SBAM paper has 400 of 800 epochs, cmae_vitb_sbam_800e.py.
          This is the pair of CMAE's own shortest recipe.
Expected: not measured by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/cmae/cmae_vitb_sbam_300e.py 8
"""
_base_ = './cmae_vitb_sbam_800e.py'

max_epochs = 300
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=260, end=max_epochs)
