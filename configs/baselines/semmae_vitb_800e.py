"""SemMAE's second stage, ViT-B/16, 800 epochs: masks by parts.

PART_MAPS names the parts of every training image, uint8 labels on 14 x 14
patches as sbam_mm.datasets.save_maps writes them: those of SemMAE's first
stage were never released. The schedule is MAE's.

Paper:    Li et al., SemMAE: Semantic-Guided Masking for Learning Masked
          Autoencoders, NeurIPS 2022; compared in Xi et al., GPA, ACM MM 2024,
          Table 6.
Expected: 83.3 % fine-tuning top-1 in GPA's table, with SemMAE's parts. Not
          measured by this project.
Cost:     MAE's over 800 epochs, and reading the maps; not measured by this
          project.
Command:  DATA_ROOT=/path/to/imagenet PART_MAPS=data/part_maps.npy \
              tools/dist_train.sh configs/baselines/semmae_vitb_800e.py 8
"""
_base_ = './mae_vitb_800e.py'

model = dict(masker=dict(type='sbam_mm.SemMAEMasker', power=2.))

train_pipeline = [
    # The crop says where it was made, so that the parts can follow.
    *_base_.train_pipeline[:2],
    dict(
        type='sbam_mm.LoadPartMap',
        path='{{$PART_MAPS:data/part_maps.npy}}',
        grid=14),
    dict(type='PackInputs', algorithm_keys=['part_map']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
