"""data2vec 2.0, ViT-B/16, 75 epochs of ImageNet-1K.

The official settings (base_images_only_task.yaml of the authors' repository):
16 GPUs of 16 images with 16 masks each, 375,300 steps, 1e-3 after a warm-up of
10 epochs, gradients clipped at a norm of 4. There blocks are post-norm.

Paper:    Baevski et al., Efficient Self-supervised Learning with
          Contextualized Target Representations for Vision, Speech and
          Language, ICML 2023.
Expected: not measured by this project.
Cost:     not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/data2vec2/data2vec2_vitb_75e.py 16
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/data2vec2_vitb.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/mae_800e.py',
]

max_epochs = 75
warmup_epochs = 10

train_dataloader = dict(batch_size=16)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=4.))
_base_.param_scheduler[0].update(end=warmup_epochs)
_base_.param_scheduler[1].update(
    T_max=max_epochs - warmup_epochs, begin=warmup_epochs, end=max_epochs)
train_cfg = dict(max_epochs=max_epochs)
auto_scale_lr = dict(base_batch_size=256)
