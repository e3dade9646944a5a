"""Runtime of AM and AMT: attention maps that are renewed every 40 epochs.

They take 0.5 GB each time, under work_dir/attention_maps; the last two
versions are kept.
"""
_base_ = './default_runtime.py'

custom_hooks = [
    dict(
        type='sbam_mm.AttentionMapHook',
        interval=40,
        batch_size=256,
        num_workers=12),
    *_base_.custom_hooks,
]
