"""ConvMAE with SBAM on small images: a ratio per image, at every scale.

Paper:    none; Choi et al., ECCV 2024, in Gao et al., NeurIPS 2022.
Expected: not measured by this project.
Cost:     convmae_small.py's and one more pass through the convolution stages;
          not measured by this project.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/convmae_sbam_small.py
"""
_base_ = './convmae_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.SBAM',
        ratio=0.75,
        delta_r=0.15,
        delta=0.1,
        noise=0.5,
        scope='sample'))
