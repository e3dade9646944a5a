"""UperNet with ViT-B/16 on ADE20K, 80k steps: GPA's ablations.

Paper:    Xi et al., GPA, ACM MM 2024, section 4 and Table 2: 80k steps at
          512 x 512 with mmseg; it names no other setting, here MAE's.
Expected: from 200 epochs of pre-training MAE 40.5, GPA as teacher 41.6, GPA
          with its features 44.3 mIoU (the paper's numbers; not measured by
          this project).
Cost:     not stated in the paper; not measured by this project.
Command:  CHECKPOINT=/path/to/encoder.pth DATA_ROOT=/path/to/ade20k \
          tools/dist_train.sh configs/mmseg/upernet_vitb_80k_ade20k.py 8
"""
_base_ = './upernet_vitb_160k_ade20k.py'

max_iters = 80000
_base_.param_scheduler[1].update(end=max_iters)
train_cfg = dict(max_iters=max_iters, val_interval=8000)
default_hooks = dict(checkpoint=dict(interval=8000))
