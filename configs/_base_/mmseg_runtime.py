"""What every segmentation run shares."""
_base_ = './dense_runtime.py'

default_scope = 'mmseg'
default_hooks = dict(checkpoint=dict(interval=16000, save_best='mIoU'))
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
