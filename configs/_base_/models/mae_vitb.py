"""MAE with ViT-B/16: 12 blocks, 768 wide; decoder 8 blocks, 512 wide."""
_base_ = './mae_vitl.py'

model = dict(backbone=dict(arch='base'), neck=dict(embed_dim=768))
