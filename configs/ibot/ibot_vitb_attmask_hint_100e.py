"""AttMask-Hint in iBOT, ViT-B/16, 100 epochs.

16 GPUs x 64 images = 1024. As ibot_vitb_attmask_high_100e.py.

Paper:    Choi et al., ECCV 2024, Table 3, a baseline there.
Expected: not measured by this project.
          The SBAM paper has 72.8 for iBoT (ViT-B, 100 epochs), its section
          6.4, which equals the k-NN accuracy of AttMask's *ViT-S/16*; see
          ibot_vitb_attmask_high_100e.py.
Cost:     as ibot_vitb_100e.py; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 \
              tools/dist_train.sh configs/ibot/ibot_vitb_attmask_hint_100e.py 8
"""
_base_ = './ibot_vitb_attmask_high_100e.py'

model = dict(masker=dict(mode='hint', show=(0.1, 0.5), show_max=0.1))
