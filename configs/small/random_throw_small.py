"""MAE with random masking and throwing on small images: AMT's control.

Paper:    none at this scale; Liu et al., AAAI 2023, has it as "MAE+Random T"
          in Table 4, at ImageNet's.
Expected: not measured by this project.
Cost:     below mae_small.py's: 40 % of the tokens are thrown.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/random_throw_small.py
"""
_base_ = './mae_small.py'

model = dict(masker=dict(_delete_=True, type='sbam_mm.RandomThrow'))
