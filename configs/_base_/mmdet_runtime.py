"""What every detection run shares."""
_base_ = './dense_runtime.py'

default_scope = 'mmdet'
visualizer = dict(
    type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
