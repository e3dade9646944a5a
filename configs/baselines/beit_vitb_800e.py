"""BEiT with ViT-B/16, 800 epochs: visual tokens of DALL-E.

DALLE_ENCODER names the tokenizer's weights, mmpretrain's dalle_encoder.pth.
The recipe is mmpretrain's of 300 epochs over 800; any masker may take the
place of the blocks.

Paper:    Bao et al., BEiT: BERT Pre-Training of Image Transformers, ICLR 2022;
          compared in Xi et al., GPA, ACM MM 2024, Table 6.
Expected: 83.2 % fine-tuning top-1 in GPA's table. Not measured by this
          project.
Cost:     not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet DALLE_ENCODER=dalle_encoder.pth \
              tools/dist_train.sh configs/baselines/beit_vitb_800e.py 8
"""
_base_ = '../cae/cae_vits_300e.py'

model = dict(
    _delete_=True,
    type='sbam_mm.BEiT',
    backbone=dict(
        type='sbam_mm.MaskedBEiT',
        arch='base',
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        layer_scale_init_value=0.1),
    masker=dict(type='sbam_mm.BlockMasker', ratio=75 / 196),
    neck=dict(
        type='sbam_mm.LinearDecoder',
        embed_dim=768,
        patch_size=16,
        out_dims=8192),
    head=_base_.model.head)

train_pipeline = [
    dict(
        type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4,
        hue=0.),
    *_base_.train_pipeline,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

max_epochs = 800
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=790, end=max_epochs)
