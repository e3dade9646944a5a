"""Fine-tune ViT-B/16 with relative positions for 100 epochs, as SimMIM does.

The official code gives every block a copy of the pre-trained table of relative
positions; here all blocks go on sharing it.

Paper:    Xie et al., SimMIM, CVPR 2022; the numbers are those of the official
          repository's file for ViT-B: 1.25e-3 x batch / 512 at 2048 images,
          20 warm-up epochs from 2.5e-7 and back to 2.5e-7 (times the same),
          layer decay 0.65, drop path 0.1, gradients clipped at 5.
Expected: 83.8 % top-1 from SimMIM's 800 epochs (its authors' number); not
          measured by this project.
Cost:     not measured by this project.
Command:  PRETRAINED=/path/to/simmim.pth DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/finetune/simmim_vitb_100e.py 8
"""
_base_ = './vitb_100e.py'

model = dict(
    backbone=dict(
        type='BEiTViT',
        layer_scale_init_value=0.1,
        use_rel_pos_bias=False,
        use_shared_rel_pos_bias=True))

warmup_epochs = 20
lr = 1.25e-3 * 2048 / 512
min_lr = 2.5e-7 * 2048 / 512
train_dataloader = dict(batch_size=256)
auto_scale_lr = dict(base_batch_size=2048)
# Relative positions are spared weight decay, as in the pre-training.
optim_wrapper = dict(
    optimizer=dict(lr=lr),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        custom_keys={'relative_position_bias_table': dict(decay_mult=0.)}))
_base_.param_scheduler[0].update(
    start_factor=min_lr / lr, end=warmup_epochs)
_base_.param_scheduler[1].update(
    T_max=80, begin=warmup_epochs, eta_min_ratio=min_lr / lr)
