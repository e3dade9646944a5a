"""GPA as a teacher and as a feature on small images: attention is predicted.

Paper:    none; the method of Xi et al., ACM MM 2024, Table 1, last row.
Expected: not measured by this project.
Cost:     not measured by this project; one more decoder than gpa_small.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/gpa_feature_small.py
"""
_base_ = './gpa_small.py'

model = dict(type='sbam_mm.GPAFeature', variant='paper', weight=1.)
