"""SimMIM's schedule for ViT-B: AdamW, 1e-4 x 2048 / 512, a step at 700."""
_base_ = './simmim_200e.py'

max_epochs = 800
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    # Milestones count from `begin`, so it is 0.
    dict(
        type='MultiStepLR',
        milestones=[700],
        gamma=0.1,
        begin=0,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
