"""What every pre-training run shares: hooks, logs, seed, resume.

TensorBoard or Weights & Biases in addition to the local JSON, in a config:
    visualizer = dict(vis_backends=[
        dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
"""
default_scope = 'mmpretrain'

default_hooks = dict(
    # One wait for the device per step for all that is logged.
    fetch_log=dict(type='sbam_mm.FetchLogHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Papers report what is half way, too: of 800 epochs 200, 400 and 600 stay
    # beside the last three.
    checkpoint=dict(
        type='sbam_mm.CheckpointHook',
        interval=1,
        max_keep_ckpts=3,
        milestones=4),
    sampler_seed=dict(type='DistSamplerSeedHook'))

custom_hooks = [
    # A resumed run equals one that was never stopped.
    dict(type='sbam_mm.EpochSeedHook'),
    # A loss that is not finite stops the run and says why.
    dict(type='sbam_mm.InvalidLossHook'),
    # A checkpoint that does not fit stops the run instead of being ignored.
    dict(type='sbam_mm.CheckpointKeysHook'),
    # A class that has another number in the validation half stops the run.
    dict(type='sbam_mm.ClassNamesHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

visualizer = dict(
    type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])

log_level = 'INFO'
log_processor = dict(window_size=20)
load_from = None
resume = False
randomness = dict(seed=0)
