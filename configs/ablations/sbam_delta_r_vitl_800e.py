"""The range of SBAM's ratio, delta_r, ViT-L/16.

Each run is judged at epoch 400 of 800, by configs/finetune/vitl_50e.py and a
linear probe. The figure prints no values; those of the command are this
project's choice around the paper's.

Paper:    Choi et al., ECCV 2024, Fig. 7, second and third graph; 0.15
          is the paper's optimum (section 6.5).
Expected: not measured by this project.
Cost:     each run is one of sbam_mae_vitl_800e.py, which the paper's
          supplement puts at 92.5 h for 400 epochs on 8 A6000; not measured by
          this project.
Command:  for delta_r in 0.05 0.1 0.15 0.2; do DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh \
              configs/ablations/sbam_delta_r_vitl_800e.py 8 \
              --work-dir work_dirs/sbam_delta_r_vitl_800e/$delta_r \
              --cfg-options model.masker.delta_r=$delta_r; done
"""
_base_ = '../sbam_mae_vitl_800e.py'

model = dict(masker=dict(delta_r=0.1))
