"""Robustness to the masking ratio at scale: MAE and SBM, ViT-L/16.

P is the fine-tuning accuracy of epoch 400 of each run of 800, which stays as a
milestone. All maskers keep the same number of patches, rounded down as in
MAE's code.

Paper:    Choi et al., ECCV 2024, Fig. 3: MAE and SBM, PIMR and Global
          PIMR. It prints neither values nor ratios; these ratios are this
          project's choice.
Expected: not measured by this project.
Cost:     8 runs of 800 epochs, each of them mae_vitl_800e.py's, and their
          fine-tuning; not measured by this project.
Command:  python tools/run_grid.py configs/grids/sbam_fig3_vitl.py \
              --data-root /path/to/imagenet --processes 8
          for run in work_dirs/sbam_fig3_vitl/*/ratio*/seed*; do
              tools/dist_evaluate.sh $run/epoch_400.pth 8 \
                  --config $run/run_config.py --protocol finetune \
                  --data /path/to/imagenet --out $run/finetune; done
          python tools/pimr.py work_dirs/sbam_fig3_vitl/runs.csv \
              --evaluation finetune
"""
config = '../baselines/mae_vitl_800e.py'
maskers = ['random', 'sbm']
ratios = [0.45, 0.6, 0.75, 0.9]
seeds = [0]
rounding = 'floor'
