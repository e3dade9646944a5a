"""SBAM's noise, ViT-L/16: from none to that of the paper and beyond.

Each run is judged at its milestones, by configs/finetune/vitl_50e.py. The
paper says that relying on the salience alone "can precipitate a decline".

Paper:    Choi et al., ECCV 2024, Fig. 7, first graph: with and without
          randomness over the epochs, of which 200, 400, 600 and 800 stay as
          milestones. The paper's noise is 0.5 (section 3).
Expected: not measured by this project.
Cost:     that of sbam_mae_vitl_800e.py for each run; not measured by this
          project.
Command:  for noise in 0 0.25 0.5 1; do DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/ablations/sbam_noise_vitl_800e.py 8 \
              --work-dir work_dirs/sbam_noise_vitl_800e/$noise \
              --cfg-options model.masker.noise=$noise; done
"""
_base_ = '../sbam_mae_vitl_800e.py'

model = dict(masker=dict(noise=0.))
