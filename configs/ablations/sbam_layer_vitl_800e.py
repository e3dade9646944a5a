"""After which block SBAM's salience is computed, ViT-L/16.

Each run is judged at epoch 400 of 800, by configs/finetune/vitl_50e.py.

Paper:    Choi et al., ECCV 2024, supplement Table 2: 85.1 at the input,
          84.7 after layer 1, 85.3 after 3, 85.2 after 5 (MAE 84.3), in 92.5,
          122.6, 140.1 and 153.9 h.
Expected: not measured by this project.
Cost:     that of sbam_mae_vitl_800e.py for each run; not measured by this
          project.
Command:  for layer in 0 1 3 5; do DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/ablations/sbam_layer_vitl_800e.py 8 \
              --work-dir work_dirs/sbam_layer_vitl_800e/$layer \
              --cfg-options model.masker.salience.layer=$layer; done
"""
_base_ = '../sbam_mae_vitl_800e.py'

model = dict(masker=dict(salience=dict(layer=1)))
