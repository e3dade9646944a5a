"""iBOT with its block masking on small images.

Paper:    none; the method of Zhou et al., ICLR 2022.
Expected: trains, but minutes do not teach it. On CIFAR-10 (seed 0, teacher's
          class token, k=20, 5000 + 2000 images) with patches of 8 pixels kNN
          fell from 27.8 % to 24.8 % in 320 steps of 64 (mean of patch
          tokens: 27.9 to 25.9 %), and to 21.7 % (25.8 %) in 600 steps of 32
          at lr 2e-3, momentum 0.9 to 0.99 and larger crops. The 4 epochs of
          this config were not run: a picture of the method, no
          representation to use.
Cost:     about 80 images a second per CPU core, measured over few steps.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/ibot_small.py
"""
_base_ = './dino_small.py'

model = dict(
    type='sbam_mm.iBOT',
    masker=dict(
        _delete_=True,
        type='sbam_mm.IBOTMasker',
        ratio=(0.1, 0.5),
        probability=0.5),
    patch_loss=dict(teacher_temperature=0.04))
