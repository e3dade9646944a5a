"""GPA's soft and hard masks on STL-10, one at a time.

The maps are those of `teacher_vits14_stl10.py`: a ViT-S/14 (TEACHER), the
paper's block 9, all heads.

Paper:    none at this scale; Xi et al., GPA, ACM MM 2024, Table 3 and 4, have
          ViT-B on ImageNet-1K.
Expected: not measured by this project.
Cost:     24 cells of 10 epochs, about 5 minutes each on one CPU core, and
          the teacher's look at the 4,000 images.
Command:  TEACHER=vit_small_patch14.safetensors python tools/study.py \
              configs/studies/small/gpa_schedules_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './teacher_vits14_stl10.py'

block_9 = _base_.axes['arm']['GPA, block 9']


def shares(soft=(.5, 0.), hard=(0., .5)):
    return {
        **block_9,
        'model.masker.selection': dict(
            type='sbam_mm.SoftToHard', soft=soft, hard=hard),
    }


axes = {
    '_delete_': True,
    'arm': {
        'random': {'masker': 'random'},
        'soft 0.5 to 0, hard 0 to 0.5': shares(),
        'soft 0 to 0': shares(soft=(0., 0.)),
        'soft 1 to 0': shares(soft=(1., 0.)),
        'soft 1 to 1': shares(soft=(1., 1.)),
        'hard 0 to 0': shares(hard=(0., 0.)),
        'hard 0 to 1': shares(hard=(0., 1.)),
        'hard 1 to 1': shares(hard=(1., 1.)),
    },
}
