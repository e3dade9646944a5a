# Copyright (c) OpenMMLab. All rights reserved.
"""The gallery of maskers, from the registry: nobody keeps it up to date.

In ``docs/gallery.md`` the comment ``<!-- maskers -->`` becomes a section for
every masker that a config can name: its masks on photographs, what the
docstrings and the table of formulae say of it, its cost as measured, its
config, and the recipes that use it.
"""
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from skimage.segmentation import felzenszwalb
from torch import nn

from sbam_mm import masking
from sbam_mm.evaluation.models import VIT_BASE
from sbam_mm.explorer.export import config_line
from sbam_mm.masking.named_maskers import masker_label, masker_names
from sbam_mm.masking.parts import AsksContext
from sbam_mm.registry import MODELS
from sbam_mm.visualization import (
    build_masker,
    center_crop,
    draw_mask,
    fit_to_model,
    masking_context,
    model_from_config,
    photographs,
)
from sbam_mm.visualization.masks import mask_grids, on_grid
from sbam_mm.visualization.pixels import heat_map, hide_patches

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
PICTURES = DOCS / '_gallery'
MARK = '<!-- maskers -->'
PHOTOGRAPHS = ('astronaut', 'cat')
SIZE, TILE, GAP = 224, 168, 8
# What has no meaning without another masker, or leaves most images whole.
EXAMPLES = {
    'MaskSomeViews': dict(masker=dict(type='sbam_mm.SBAM')),
    'IBOTMasker': dict(probability=1.),
}
KINDS = {name for name in masking.__all__ if inspect.isclass(
    getattr(masking, name)) and issubclass(getattr(masking, name), AsksContext)
    and name not in ('Masker', 'MaskSomeViews')}
# With this one of the two views is left whole.
SEEDS = {'MaskSomeViews': 2}
GROUPS = ('By a score of the tokens', 'By attention', 'At random',
          'By shape, or by parts')
# More recipes than this are counted, not listed.
MAX_RECIPES = 6


def contrast(context: masking.MaskingContext,
             _: list[np.ndarray]) -> torch.Tensor:
    """Standard deviation of the pixels of each patch, (B, L)."""
    images = context.images
    patch = images.shape[-1] // context.grid[1]
    patches = nn.functional.unfold(images, patch, stride=patch)
    return patches.std(dim=1)


def segments(context: masking.MaskingContext,
             pictures: list[np.ndarray]) -> torch.Tensor:
    """Felzenszwalb's segments at the centre of each patch, uint8 (B, L)."""
    step = SIZE // context.grid[0]
    maps = [felzenszwalb(picture, scale=400, min_size=1200)
            [step // 2::step, step // 2::step] for picture in pictures]
    return torch.from_numpy(np.stack(maps)).flatten(1).byte()


# What a model at random weights cannot give, and what stands in for it here.
STAND_INS = {
    'predicted_loss': (contrast, 'the contrast inside each patch in place of '
                       'the loss that `HPM` predicts'),
    'part_map': (segments, "Felzenszwalb's segments in place of parts"),
}


@dataclass
class Drawn:
    """A masker with one set of options, on the photographs."""
    config: dict
    masker: nn.Module
    mask: masking.TokenMask
    notes: list[str]
    picture: Image.Image
    name: str | None  # for the command line

    @property
    def label(self) -> str:
        return masker_label(self.config)


def gallery_configs() -> dict[str, dict[str, dict]]:
    """Configs by type and short name: every masker that is registered."""
    MODELS.import_from_location()
    found: dict[str, dict[str, dict]] = {}
    for name, config in masker_names().items():
        kind = config['type'].rpartition('.')[2]
        if kind == 'Masker':  # a mixture of parts with a name of its own
            kind = masker_label(config)
        options = found.setdefault(kind, {})
        if config not in options.values():
            options[name] = config
    for kind in registered():
        if kind not in found:
            found[kind] = {kind: dict(
                EXAMPLES.get(kind, {}), type=f'sbam_mm.{kind}')}
    return found


def registered() -> list[str]:
    """Types of all maskers but the one that is put together of parts."""
    return sorted(
        name for name, kind in MODELS.module_dict.items()
        if inspect.isclass(kind) and issubclass(kind, AsksContext)
        and kind is not masking.Masker)


class Artist:
    """One encoder and two photographs, for all maskers."""

    def __init__(self):
        self.model, _ = model_from_config(VIT_BASE, None, 0, None)
        self.photos = [center_crop(image, SIZE) for image
                       in photographs(PHOTOGRAPHS).values()]
        context = masking_context(self.model, self.photos, progress=1.)
        self.context = replace(context, providers={
            **context.providers,
            **{name: lambda stand_in=stand_in: stand_in(context, self.photos)
               for name, (stand_in, _) in STAND_INS.items()}})

    def draw(self, name: str, config: Mapping) -> Drawn:
        """Build a masker, let it mask, and paint what it did."""
        masker = build_masker(config)
        inner = getattr(masker, 'masker', masker)
        notes = [STAND_INS[need][1] for need in sorted(
            inner.needs & STAND_INS.keys())]
        if not notes:
            notes = fit_to_model(inner, self.model)
        mask = draw_mask(masker, self.context, SEEDS.get(name, 0))
        return Drawn(dict(config), masker, mask, notes, self.paint(mask),
                     name if name in masker_names() else None)

    def paint(self, mask: masking.TokenMask) -> Image.Image:
        """Of each photograph the salience, if there is any, and the mask."""
        hidden, scores = mask_grids(self.model, mask, self.photos[0])
        thrown = np.zeros_like(hidden)
        if mask.thrown is not None:
            thrown = on_grid(self.model, mask.thrown, self.photos[0])
        tiles = []
        for i, photo in enumerate(self.photos):
            if scores.any():
                tiles.append(heat_map(photo, scores[i]))
            tiles.append(hide_patches(photo, hidden[i], thrown[i]))
        return strip(tiles)


def strip(tiles: list[np.ndarray]) -> Image.Image:
    """Pictures side by side on white."""
    width = len(tiles) * (TILE + GAP) - GAP
    whole = Image.new('RGB', (width, TILE), 'white')
    for i, tile in enumerate(tiles):
        whole.paste(ImageOps.fit(Image.fromarray(tile), (TILE, TILE)),
                    (i * (TILE + GAP), 0))
    return whole


def save(picture: Image.Image, name: str) -> str:
    """A file of a few kilobytes; returns its path as pages write it."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f'{name}.jpg'
    picture.save(path, quality=85, subsampling=0)
    return path.relative_to(DOCS).as_posix()


def paragraphs(kind: type) -> list[str]:
    """Of a docstring, each in one line, as Markdown."""
    text = inspect.getdoc(kind) or ''
    text = re.sub(r':\w+:`~?\.?([^`]+)`', r'`\1`', text).replace('``', '`')
    return [' '.join(part.split()) for part in text.split('\n\n')]


def source_of(masker: nn.Module) -> str:
    """The source that a docstring names: its own, or that of a part."""
    inner = getattr(masker, 'masker', masker)
    for one in (masker, getattr(inner, 'selection', None),
                getattr(inner, 'salience', None)):
        for kind in type(one).__mro__:
            if kind in (masking.Masker, AsksContext, nn.Module, object):
                break
            for text in paragraphs(kind):
                if text.startswith('Source: '):
                    return text.removeprefix('Source: ')
    return ''


@cache
def formulae() -> dict[str, tuple[str, str]]:
    """Score and choice of docs/maskers.md, by type of the masker."""
    text = (DOCS / 'maskers.md').read_text(encoding='utf-8')
    table = text.partition('## Formulae')[2].partition('\n## ')[0]
    found = {}
    for line in re.findall(r'^\| (`.*) \|$', table, re.M):
        names, score, hidden = line.split(' | ')
        for name in re.findall('`([^`]+)`', names):
            found[name] = score, hidden
    return found


@cache
def costs() -> dict[str, list[tuple[str, float]]]:
    """Time of a step over that with random masks, by type: as measured."""
    file = DOCS / 'benchmarks/maskers_cpu.json'
    rows = json.loads(file.read_text(encoding='utf-8'))['maskers']
    found: dict[str, list[tuple[str, float]]] = {}
    for name, row in rows.items():
        kind, _, options = name.partition(', ')
        found.setdefault(kind, []).append((options, row['step'][0]))
    return found


@cache
def recipes() -> dict[str, list[str]]:
    """Configs by the type of their masker, the shortest paths first."""
    folder = ROOT / 'configs'
    paths = [path for path in folder.rglob('*.py')
             if not {'_base_', 'studies'} & set(path.parts)]
    found: dict[str, list[str]] = {}
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        for kind in maskers_of(path):
            found.setdefault(kind, []).append(
                path.relative_to(folder).as_posix())
    return found


def maskers_of(path: Path) -> set[str]:
    """Types of maskers that a config names, or else what it is based on."""
    text = path.read_text(encoding='utf-8')
    known = KINDS & set(re.findall(r"'sbam_mm\.(\w+)'", text))
    if known:
        return known
    bases = re.search(r'^_base_ = (\[.*?\]|.*?$)', text, re.M | re.S)
    bases = re.findall("'(\\.[^']+)'", bases[1]) if bases else []
    return set().union(*(maskers_of(path.parent / base) for base in bases))


def group_of(masker: nn.Module) -> str:
    """The heading below which a masker stands."""
    inner = getattr(masker, 'masker', masker)
    salience = getattr(inner, 'salience', None)
    if not isinstance(salience, masking.NoSalience):
        attention = isinstance(
            salience, (masking.AttentionSalience, masking.StoredSalience))
        return GROUPS[1] if attention else GROUPS[0]
    alone = (masking.NoisyTopK, masking.WeightedOrder)
    return GROUPS[2] if isinstance(inner.selection, alone) else GROUPS[3]


def part_name(part: nn.Module) -> str:
    return f'{{py:class}}`~sbam_mm.masking.{type(part).__name__}`'


def section(kind: str, drawn: list[Drawn]) -> str:
    """A masker with all sets of options that have a name."""
    first = drawn[0]
    inner = getattr(first.masker, 'masker', first.masker)
    about = paragraphs(type(first.masker))[0]
    if kind != type(first.masker).__name__:  # a mixture
        about = paragraphs(type(
            inner.selection if kind == 'AutoMAE' else inner.salience))[0]
    lines = [f'### {kind}', '', about, '']
    for one in drawn:
        shares = [f'{100 * share:.0f} %' for share in
                  one.mask.masked.float().mean(dim=1)]
        below = f'hides {" and ".join(dict.fromkeys(shares))}'
        if one.mask.thrown is not None:
            thrown = 100 * float(one.mask.thrown.float().mean())
            below += f', throws {thrown:.0f} % away (hatched)'
        if one.notes:
            below += f'; drawn with {" and ".join(one.notes)}'
        label = one.label if len(drawn) > 1 else kind
        lines += [f'![Masks of {label}]({save(one.picture, label)})', '',
                  f'*{label}: {below}.*', '']
    parts = [part_name(part) for part in (
        inner.salience, inner.ratio, inner.selection)]
    facts = [('Parts', ' × '.join(parts))]
    if kind in formulae():
        score, hidden = formulae()[kind]
        facts.append(('Formula', hidden if score == '–' else
                      f'{score}; hidden: {hidden}'))
    facts.append(('Source', source_of(first.masker)))
    cost = ', '.join(f'{step:.2f}{f" (`{name}`)" if name else ""}'
                     for name, step in costs().get(kind, ()))
    facts.append(('Cost', f'{cost} times a step with random masks' if cost
                  else 'not measured'))
    used = recipes().get(kind, [])
    if used:
        links = [f'[{name}](../configs/{name})' for name in
                 used[:MAX_RECIPES]]
        more = len(used) - len(links)
        facts.append(('Recipes', ', '.join(links) + (
            f' and {more} more' if more > 0 else '')))
    lines += [f'- **{name}**: {text}' for name, text in facts]
    written = '\n'.join(
        config_line('masker', one.config) for one in drawn)
    lines += ['', f'```python\n{written}\n```', '']
    if first.name:
        lines += [f'```bash\npython tools/train.py CONFIG --masker '
                  f'{first.name}\n```', '']
    return '\n'.join(lines)


def gallery() -> str:
    """All of it, as Markdown; pictures are written beside."""
    artist = Artist()
    plain = save(strip(artist.photos), 'photographs')
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    thumbs: dict[str, list[str]] = {group: [] for group in GROUPS}
    for kind, configs in gallery_configs().items():
        drawn = [artist.draw(name, config)
                 for name, config in configs.items()]
        group = group_of(drawn[0].masker)
        groups[group].append(section(kind, drawn))
        # The mask of the first photograph.
        last = drawn[0].picture
        column = 1 if last.width > 2 * (TILE + GAP) else 0
        left = column * (TILE + GAP)
        thumb = save(last.crop((left, 0, left + TILE, TILE)), f'{kind}-small')
        thumbs[group].append(
            f'[![]({thumb}) {kind}](#{kind.lower()})')
    overview = '\n\n'.join(
        f'**{group}**\n\n{{.thumbs}}\n' + '\n'.join(names)
        for group, names in thumbs.items())
    return f'![The photographs]({plain})\n\n{overview}\n\n' + '\n\n'.join(
        f'## {group}\n\n' + '\n\n'.join(sections)
        for group, sections in groups.items())


def fill_in(app, name, content):
    """The gallery in place of its mark (Sphinx's ``source-read``)."""
    if MARK in content[0]:
        content[0] = content[0].replace(MARK, gallery())


def setup(app):
    app.connect('source-read', fill_in)
    return {'parallel_read_safe': True}
