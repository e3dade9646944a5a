"""SBAM and MAE over the epochs, ViT-L/16.

Paper:    Choi et al., ECCV 2024, Fig. 6: after 200, 400, 600 and 800 epochs of
          800.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     2 cells of 800 epochs, of which MAE is that of sbam_fig4_vitl.py in a
          common --work-dir; not measured by this project.
Command:  python tools/study.py configs/studies/sbam_fig6_vitl.py \
              --data-root /path/to/imagenet --processes 8
"""
_base_ = './sbam_fig4_vitl.py'

axes = dict(
    config=dict(
        _delete_=True,
        MAE='../baselines/mae_vitl_800e.py',
        SBAM='../sbam_mae_vitl_800e.py'))
