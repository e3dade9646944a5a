"""iBOT with its block masking on small images.

Paper:    none; the method of Zhou et al., ICLR 2022.
Expected: not measured by this project.
Cost:     about 80 images a second per CPU core, measured over few steps.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/ibot_small.py
"""
_base_ = '../_base_/ibot_small.py'
