"""What every segmentation and detection run shares: hooks, logs, seed.

Nothing is taken from mmseg's or mmdet's own configs, whose `_base_` names do
not resolve under the maintained distribution.
"""
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=5000,
                    max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'))

custom_hooks = [
    # An empty split, or classes that are not the model's, stops the run.
    dict(type='sbam_mm.DenseDataHook'),
    # A loss that is not finite stops the run and says why.
    dict(type='sbam_mm.InvalidLossHook'),
    # A checkpoint to resume or test that does not fit stops the run.
    dict(type='sbam_mm.CheckpointKeysHook'),
]

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

log_level = 'INFO'
log_processor = dict(by_epoch=False)
load_from = None
resume = False
# Stochastic depth and dropout of their own on every GPU.
randomness = dict(seed=0, diff_rank_seed=True)
