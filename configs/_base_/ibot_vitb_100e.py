"""iBOT, ViT-B/16, 100 epochs; the prototypes are frozen for 3 of them.

The official arguments of ViT-B are not in its repository. These are those of
ViT-S with what is known to differ.
"""
_base_ = [
    './multi_crop_224.py',
    './ibot_vitb.py',
    './ibot_schedule_100e.py',
]

custom_hooks = _base_.custom_hooks
custom_hooks[-1].update(epochs=3)
