"""iBOT with ViT-B/16; its prototypes keep unit length."""
_base_ = './ibot_vits.py'

model = dict(
    backbone=dict(arch='base'),
    head=dict(in_dim=768, norm_last_layer=True))
