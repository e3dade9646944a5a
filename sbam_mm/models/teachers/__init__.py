# Copyright (c) OpenMMLab. All rights reserved.
"""Encoders beside the one that learns: frozen ones, and moving averages."""
from .clip_teacher import CLIPTeacher
from .momentum import MomentumCopy
from .teacher_pass import TeacherPass
from .teachers import FrozenTeacher, MomentumTeacher, Teacher

__all__ = [
    'CLIPTeacher', 'FrozenTeacher', 'MomentumCopy', 'MomentumTeacher',
    'Teacher', 'TeacherPass'
]
