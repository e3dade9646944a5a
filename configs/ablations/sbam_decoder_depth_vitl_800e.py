"""How many blocks the decoder has, with SBAM, ViT-L/16.

Each run is judged at epoch 400 of 800, by configs/finetune/vitl_50e.py and a
linear probe.

Paper:    Choi et al., ECCV 2024, supplement Fig. 4, 400 epochs; of the
          depths on its axis the text names only 4 and 8, the best.
          For MAE's curve the same options with
          configs/baselines/mae_vitl_800e.py.
Expected: not measured by this project.
Cost:     that of sbam_mae_vitl_800e.py for each run; not measured by this
          project.
Command:  for depth in 1 2 4 8 12; do DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh \
              configs/ablations/sbam_decoder_depth_vitl_800e.py 8 \
              --work-dir work_dirs/sbam_decoder_depth_vitl_800e/$depth \
              --cfg-options model.neck.decoder_depth=$depth; done
"""
_base_ = '../sbam_mae_vitl_800e.py'

model = dict(neck=dict(decoder_depth=4))
