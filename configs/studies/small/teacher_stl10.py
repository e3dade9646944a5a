"""Does GPA need a teacher that has learnt something?

The teacher is this model after a training with random masks (TEACHER), its
random weights, kept as they were drawn, or their moving average; "own" is the
attention of the model itself.

Paper:    none at this scale; Xi et al., GPA, ACM MM 2024, ask a trained MAE.
Expected: not measured by this project.
Cost:     15 cells of 10 epochs, and the teacher's training.
Command:  python tools/train.py configs/small/mae_stl10_on_device_small.py \
              --data-root data/stl10 --work-dir work_dirs/teacher
          TEACHER=work_dirs/teacher/epoch_10.pth \
              python tools/study.py configs/studies/small/teacher_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

teacher = '{{$TEACHER:work_dirs/teacher/epoch_10.pth}}'
head = dict(block=3, head=2)
axes = {
    '_delete_': True,
    'arm': {
        'random masks': {'masker': 'random'},
        'trained': {'masker': dict(name='gpa', teacher=teacher, **head)},
        **{
            name: {
                'model.masker': dict(type='sbam_mm.GPA', **head),
                'model.teacher': dict(
                    type='sbam_mm.MomentumTeacher', momentum=momentum,
                    end_momentum=1.),
            } for name, momentum in (('random weights', 1.),
                                     ('moving average', .996))
        },
        'own': {'masker': dict(name='gpa', source='self', **head)},
    },
}
baseline = dict(_delete_=True, arm='random masks')
figures = dict(
    knn=dict(x='arm'),
    linear=dict(x='arm'),
    convergence=dict(by='arm'),
    objects=dict(by='arm'))
