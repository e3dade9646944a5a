"""Fine-tune ViT-B/16 for 100 epochs as BootMAE does.

The moving average of the weights that the official script tests besides is
not kept here.

Paper:    Dong et al., Bootstrapped Masked Autoencoders, ECCV 2022; the numbers
          are those of the official script for ViT-B: learning rate 5e-3 at a
          batch of 2048, 20 warm-up epochs, layer decay 0.6. Also for Choi et
          al., ECCV 2024, Table 1, which keeps "the baseline method's
          hyperparameters" (section 6.1).
Expected: 84.2 % top-1 from BootMAE's 800 epochs (its authors' number); not
          measured by this project.
Cost:     not measured by this project.
Command:  PRETRAINED=/path/to/bootmae.pth DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/finetune/bootmae_vitb_100e.py 8
"""
_base_ = './vitb_100e.py'

warmup_epochs = 20
lr = 5e-3
# As in the pre-training, in place of ImageNet's mean and deviation.
data_preprocessor = dict(
    mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])
train_dataloader = dict(batch_size=256)
auto_scale_lr = dict(base_batch_size=2048)
optim_wrapper = dict(
    optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay_rate=0.6))
_base_.param_scheduler[0].update(end=warmup_epochs)
_base_.param_scheduler[1].update(
    T_max=80, begin=warmup_epochs, eta_min_ratio=1e-6 / lr)
