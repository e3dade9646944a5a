"""Fine-tune ViT-L/16 on ImageNet-1K for 50 epochs, as MAE does.

Paper:    He et al., MAE, CVPR 2022, appendix A.1 and Table 9; layer decay
          0.75, drop path 0.2, base learning rate 1e-3. Also that of Choi et
          al., ECCV 2024, supplement Table 5, for Table 1 (ViT-L), Fig. 4, 6
          and 7 and supplement Table 1 and Fig. 4.
Expected: 85.9 % top-1 from MAE's 1600-epoch encoder (the official code);
          not measured by this project.
Cost:     not measured by this project.
Command:  PRETRAINED=/path/to/encoder.pth DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/finetune/vitl_50e.py 8
"""
_base_ = [
    '../_base_/finetune_runtime.py',
    '../_base_/models/finetune_vitl.py',
    '../_base_/datasets/finetune_224.py',
    '../_base_/schedules/finetune_100e.py',
]

max_epochs = 50
lr = 1e-3 * 1024 / 256
optim_wrapper = dict(
    optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay_rate=0.75))
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(
    T_max=45, end=max_epochs, eta_min_ratio=1e-6 / lr)
