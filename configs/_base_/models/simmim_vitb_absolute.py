"""SimMIM with ViT-B/16 and learned absolute positions, as AMT has it.

AMT's paper uses absolute positions throughout and is "strictly" SimMIM in all
else, so SimMIM's layer scale of 0.1 stays.
"""
_base_ = './simmim_vitb.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='sbam_mm.MaskedViT',
        arch='base',
        img_size=224,
        patch_size=16,
        learned_position=True,
        layer_scale_init_value=0.1,
        drop_path_rate=0.1))
