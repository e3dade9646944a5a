"""Random masking with a random ratio per image: the control for AMR.

If SBAM gains from variety alone, this gains as much; the ratios spread over
the same range as AMR's, and nothing looks at the image.

Paper:    none; the control that Choi et al., ECCV 2024, do not report.
Expected: not measured by this project.
Cost:     about a minute per epoch of 50,000 images on two CPU cores.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/ablations/random_ratio_small.py
"""
_base_ = '../small/mae_small.py'

model = dict(masker=dict(type='sbam_mm.RandomRatioMasker', delta_r=0.15))
