"""CrossMAE, ViT-B/16, with SBAM: a ratio for every image, a third predicted.

Queries and keys are both packed, so that an image costs what it shows and
what is predicted of it. Neither paper tries it: this is the project's choice.

Paper:    none; Choi et al., ECCV 2024, in Fu et al., TMLR 2025.
Expected: not measured by this project.
Cost:     crossmae_vitb_800e.py's, and the masker's; docs/frameworks.md has
          that of the decoder. Not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/crossmae/crossmae_vitb_sbam_800e.py 8
"""
_base_ = './crossmae_vitb_800e.py'

model = dict(
    masker=dict(
        type='sbam_mm.SBAM', delta_r=0.15, delta=0.1, noise=0.5,
        scope='sample'))
