"""The threshold of SBAM's salience, delta, ViT-L/16.

Each run is judged at epoch 400 of 800, by configs/finetune/vitl_50e.py and a
linear probe. The figure prints no values; those of the command are this
project's choice around the paper's.

Paper:    Choi et al., ECCV 2024, Fig. 7, second and third graph; 0.1
          is the paper's optimum (section 6.5).
Expected: not measured by this project.
Cost:     that of sbam_mae_vitl_800e.py for each run; not measured by this
          project.
Command:  for delta in 0.05 0.1 0.2 0.3; do DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/ablations/sbam_delta_vitl_800e.py 8 \
              --work-dir work_dirs/sbam_delta_vitl_800e/$delta \
              --cfg-options model.masker.delta=$delta; done
"""
_base_ = '../sbam_mae_vitl_800e.py'

model = dict(masker=dict(delta=0.2))
