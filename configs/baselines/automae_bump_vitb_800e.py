"""AutoMAE's bump in MAE, ViT-B/16, 800 epochs.

AutoMAE's scores come from a generator on a frozen MAE's class-token attention,
trained against random rectangles; here they are that attention itself, the
mean over heads, and there is no generator. TEACHER names a pre-trained MAE
ViT-B. The schedule is MAE's.

Paper:    Chen et al., Improving Masked Autoencoders by Learning Where to Mask,
          2023, without its generator; compared in Xi et al., GPA, ACM MM 2024,
          Table 6.
Expected: 83.3 % fine-tuning top-1 in GPA's table, with the generator. Not
          measured by this project.
Cost:     MAE's over 800 epochs, and a pass of a ViT-B over all tokens; not
          measured by this project.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/baselines/automae_bump_vitb_800e.py 8
"""
_base_ = './mae_vitb_800e.py'

model = dict(
    teacher=dict(
        type='sbam_mm.FrozenTeacher',
        backbone=_base_.model.backbone,
        checkpoint='{{$TEACHER:mae_pretrain_vit_base.pth}}'),
    masker=dict(
        _delete_=True,
        type='sbam_mm.Masker',
        salience=dict(
            type='sbam_mm.AttentionSalience', source='teacher', block=-1),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=0.75),
        selection=dict(type='sbam_mm.Bump', top=0.25, bump=0.5)))
