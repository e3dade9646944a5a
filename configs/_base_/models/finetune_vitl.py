"""ViT-L/16 with a linear head on the mean of its patch tokens (MAE's)."""
_base_ = './finetune_vitb.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.2),
    head=dict(in_channels=1024))
