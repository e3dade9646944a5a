"""The encoders of which GPA judges segmentation and detection.

Paper:    Xi et al., GPA, ACM MM 2024, Table 2: on COCO and ADE20K, by
          configs/mmdet/vitdet_vitb_12e_coco.py and
          configs/mmseg/upernet_vitb_80k_ade20k.py with the last checkpoint of
          each cell.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     none beside that of gpa_table1_vitb.py in a common --work-dir, whose
          cells these are; not measured by this project.
Command:  TEACHER=mae_pretrain_vit_base.pth \
              python tools/study.py configs/studies/gpa_table2_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
_base_ = './gpa_table1_vitb.py'
