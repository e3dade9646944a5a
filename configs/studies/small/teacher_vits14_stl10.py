"""Does it help to hide what a teacher sees that was trained on real images?

A ViT-S/14 (TEACHER: any checkpoint of this size in timm's, DINO's or this
project's names) says what to hide in 96 x 96 images, which it sees at 168
pixels, as many patches of 14. GPA asks one head of its last block, or all.

Paper:    none at this scale; Kakogeorgiou et al., ECCV 2022, and Xi et al.,
          GPA, ACM MM 2024, ask an iBOT teacher and a trained MAE.
Expected: not measured by this project.
Cost:     30 cells of 10 epochs; the teacher takes ten times the operations of
          the student.
Command:  TEACHER=vit_small_patch14.safetensors python tools/study.py \
              configs/studies/small/teacher_vits14_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

teacher = dict(
    type='sbam_mm.FrozenTeacher',
    backbone=dict(
        type='sbam_mm.MaskedViT',
        arch='small',
        img_size=518,
        patch_size=14,
        learned_position=True),
    checkpoint='{{$TEACHER:vit_small_patch14.safetensors}}',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])


def asks(**masker):
    """An arm whose masker asks the teacher."""
    return {'model.masker': masker, 'model.teacher': teacher}


axes = {
    '_delete_': True,
    'arm': {
        'random': {'masker': 'random'},
        'centre': {'masker': 'centre'},
        **{
            f'GPA, head {head}': asks(
                type='sbam_mm.GPA', block=11, head=head)
            for head in range(6)
        },
        'GPA, all heads': asks(type='sbam_mm.GPA', block=11, head='sum'),
        'AttMask-high': asks(
            type='sbam_mm.AttMask', ratio=.75, probability=1.,
            source='teacher'),
    },
}
baseline = dict(_delete_=True, arm='random')
figures = dict(
    knn=dict(x='arm'),
    linear=dict(x='arm'),
    convergence=dict(by='arm'),
    objects=dict(by='arm'))
