"""MAE on STL-10 that hides what a frozen teacher attends to.

The teacher (TEACHER: any checkpoint of a ViT-S/14 with layer scale, such as
DINOv2's, in timm's, its authors' or this project's names) sees every image
once, before the first epoch, at 168 pixels: as many patches of 14 as the
student has. Its maps are cropped with the images.

Paper:    none; the model of `mae_stl10_small.py`, and the question of
          Kakogeorgiou et al., AttMask, ECCV 2022.
Expected: 36.5 ± 0.7 % kNN (k = 20, mean patch token) and 38.0 ± 1.4 %
          linear top-1 with one teacher, see docs/results.md.
Cost:     ten epochs, and in the first training of a teacher its pass, which
          takes twice as long as they do on a CPU.
Command:  TEACHER=vit_small_patch14.safetensors DATA_ROOT=data/stl10 \
              .venv/bin/python tools/train.py \
              configs/small/mae_stl10_teacher_small.py
"""
_base_ = './mae_stl10_small.py'

grid = (12, 12)
crop, flip, pack = _base_.train_pipeline
train_pipeline = [
    dict(crop, type='sbam_mm.RandomResizedCrop'),
    flip,
    dict(type='sbam_mm.LoadAttentionMap', grid=grid),
    dict(pack, algorithm_keys=['attention_map']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.StoredSalience'),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=0.75),
        selection=dict(type='sbam_mm.NoisyTopK', noise=0.5)))

custom_hooks = [
    dict(
        type='sbam_mm.AttentionMapHook',
        # The class token's attention in the last block, mean of all heads.
        block=-1,
        head='mean',
        queries='cls',
        batch_size=64,
        # Other seeds take the maps that the first one has asked for.
        keep='work_dirs/teacher_maps',
        teacher=dict(
            type='sbam_mm.FrozenTeacher',
            backbone=dict(
                type='sbam_mm.MaskedViT',
                arch='small',
                img_size=518,
                patch_size=14,
                learned_position=True,
                layer_scale_init_value=1e-5),
            checkpoint='{{$TEACHER:vit_small_patch14.safetensors}}',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375])),
    *_base_.custom_hooks,
]
