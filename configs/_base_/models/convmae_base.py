"""ConvMAE-Base: 256, 384 and 768 channels; decoder 8 blocks, 512 wide."""
_base_ = './mae_vitb.py'

model = dict(
    type='sbam_mm.ConvMAE',
    backbone=dict(
        _delete_=True,
        type='sbam_mm.ConvViT',
        arch='base',
        img_size=224,
        patch_sizes=(4, 2, 2),
        look_at='stage3'))
