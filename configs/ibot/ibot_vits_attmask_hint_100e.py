"""AttMask-Hint in iBOT, ViT-S/16, 100 epochs, as published.

4 GPUs x 60 images = 240.

Paper:    Kakogeorgiou et al., ECCV 2022.
Expected: 72.8 % k-NN and 76.1 % linear probe, the official
          repository's numbers for this setting. Not measured by this
          project.
Cost:     as ibot_vits_attmask_high_100e.py; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/ibot/ibot_vits_attmask_hint_100e.py 4
"""
_base_ = './ibot_vits_attmask_high_100e.py'

model = dict(masker=dict(mode='hint', show=(0.1, 0.5), show_max=0.1))
