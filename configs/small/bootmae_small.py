"""BootMAE on small images: rectangles of 4 to 20 of 64 patches.

Paper:    none; the method of Dong et al., ECCV 2022. The rectangles cover
          the same shares of the grid as there.
Expected: not measured by this project.
Cost:     not measured by this project.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/bootmae_small.py
"""
_base_ = './mae_small.py'

regressor = dict(
    type='sbam_mm.Regressor',
    img_size=32,
    patch_size=4,
    embed_dim=96,
    decoder_depth=2,
    decoder_num_heads=3)

model = dict(
    type='sbam_mm.BootMAE',
    masker=dict(type='sbam_mm.BootMAEMasker', min_area=4, max_area=20),
    neck=dict(_delete_=True, decoder_embed_dim=48, **regressor),
    head=dict(
        _delete_=True, type='sbam_mm.ChannelPixelHead', patch_size=4),
    feature_regressor=dict(
        decoder_embed_dim=96, predict_feature_dim=96, **regressor),
    target=dict(
        type='sbam_mm.MomentumTeacher',
        momentum=0.999,
        milestones=[(100, 0.9999), (400, 0.99999)]))
