# Copyright (c) OpenMMLab. All rights reserved.
"""Looking at masks, reconstructions, trainings. Every figure is a function."""
from sbam_mm.engine.run_log import read_scalars, training_summary
from sbam_mm.evaluation.models import model_from_config
from sbam_mm.masking.named_maskers import masker_config, masker_names

from .curves import ratio_histogram, training_figure
from .fitted_maskers import build_masker, fit_to_model, labelled_maskers
from .masks import (
    draw_mask,
    mask_figure,
    mask_gallery,
    mask_images,
    mask_table,
    masking_context,
)
from .output import Grid, save_figure
from .page import Album, Albums, Diagrams, write_page
from .photographs import (
    center_crop,
    load_image,
    load_images,
    named_images,
    photograph,
    photographs,
    readable_images,
)
from .pixels import as_picture
from .reconstruction import reconstruct_images, reconstruction_figure
from .report import RunResult, build_report, note_on_pixels, summarise
from .run_pictures import (
    run_album,
    run_pictures,
    sample_images,
    with_channels,
)
from .teachers import attention_figure, teacher_map
from .training_report import run_labels, run_result, training_sections

__all__ = [
    'Album', 'Albums', 'Diagrams', 'Grid', 'RunResult', 'as_picture',
    'attention_figure', 'build_masker', 'build_report', 'center_crop',
    'draw_mask', 'fit_to_model', 'labelled_maskers', 'load_image',
    'load_images', 'mask_figure', 'mask_gallery', 'mask_images',
    'mask_table', 'masker_config', 'masker_names', 'masking_context',
    'model_from_config', 'named_images', 'note_on_pixels', 'photograph',
    'photographs', 'ratio_histogram', 'read_scalars', 'readable_images',
    'reconstruct_images', 'reconstruction_figure', 'run_album',
    'run_labels', 'run_pictures', 'run_result', 'sample_images',
    'save_figure', 'summarise', 'teacher_map', 'training_figure',
    'training_sections', 'training_summary', 'with_channels', 'write_page'
]
