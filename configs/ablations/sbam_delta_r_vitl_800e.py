"""The range of SBAM's ratio, delta_r, ViT-L/16.

Runs are judged, and values chosen, as in sbam_delta_vitl_800e.py.

Paper:    Choi et al., ECCV 2024, Fig. 7, second and third graph; 0.15
          is the paper's optimum (section 6.5).
Expected: not measured by this project.
Cost:     that of sbam_mae_vitl_800e.py for each run; not measured by this
          project.
Command:  for delta_r in 0.05 0.1 0.15 0.2; do DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh \
              configs/ablations/sbam_delta_r_vitl_800e.py 8 \
              --work-dir work_dirs/sbam_delta_r_vitl_800e/$delta_r \
              --cfg-options model.masker.delta_r=$delta_r; done
"""
_base_ = '../sbam_mae_vitl_800e.py'

model = dict(masker=dict(delta_r=0.1))
