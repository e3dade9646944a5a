"""What every fine-tuning shares: the best checkpoint, PRETRAINED's encoder."""
_base_ = './default_runtime.py'

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=1, milestones=None, save_best='auto'))
custom_hooks = _base_.custom_hooks + [
    dict(
        type='sbam_mm.LoadEncoderHook',
        checkpoint='{{$PRETRAINED:pretrained.pth}}'),
]
randomness = dict(diff_rank_seed=True)
