"""SimMIM with AttMask-High: the most attended squares of 32 pixels are masked.

By the encoder's own attention, whose class token nothing but the
reconstruction trains; every image is masked, at SimMIM's 0.6. AttMask's
paper masks single tokens in iBOT, by a momentum teacher. For one here, set
``model.teacher=dict(type='sbam_mm.MomentumTeacher')`` and drop ``source``.

Paper:    none; the masker of Kakogeorgiou et al., ECCV 2022, in Xie et al.,
          CVPR 2022.
Expected: not measured by this project.
Cost:     not measured by this project; a second encoder pass, without
          gradient, more than simmim_vitb_800e.py.
Command:  DATA_ROOT=/path/to/imagenet tools/dist_train.sh \
              configs/simmim/simmim_vitb_attmask_high_800e.py 8
"""
_base_ = './simmim_vitb_800e.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.AttMask',
        mode='high',
        ratio=0.6,
        probability=1.,
        source='self',
        cell=2))
