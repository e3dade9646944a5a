"""AttMask-High in iBOT, ViT-B/16, 100 epochs.

16 GPUs x 64 images = 1024. The AttMask paper has no ViT-B; the SBAM paper
compares with one.

Paper:    Choi et al., ECCV 2024, Table 3, a baseline there.
Expected: not measured by this project.
          The SBAM paper has 72.5 for iBoT (ViT-B, 100 epochs), its section
          6.4, which equals the k-NN accuracy of AttMask's *ViT-S/16*: metric
          and backbone of its table are not certain. Report k-NN and linear
          probe, and say which.
Cost:     as ibot_vitb_100e.py; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 \
              tools/dist_train.sh configs/ibot/ibot_vitb_attmask_high_100e.py 8
"""
_base_ = './ibot_vitb_100e.py'

# iBOT's ratios of 0.1 to 0.5, on half of the views.
model = dict(
    masker=dict(type='sbam_mm.AttMask', mode='high', source='teacher'))
