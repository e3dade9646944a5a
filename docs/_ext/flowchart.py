# Copyright (c) OpenMMLab. All rights reserved.
"""Draws ```mermaid flowcharts as SVG, so that pages need no script for them.

GitHub draws such a block itself; here is what it can hold: lines such as
``a & b --> c["text"] & d``, drawn from the bottom (or, for ``flowchart TB``,
the top).
"""
import re
from html import escape
from itertools import pairwise

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

LINE = re.compile(r'^\s*(.+?)\s*-->\s*(.+?)\s*$', re.M)
NODE = re.compile(r'(\w+)(?:\["(.*)"\])?')
# In pixels; a letter of the labels is as wide as this on average.
LETTER, HEIGHT, GAP, STEP, PAD = 8.2, 30, 18, 72, 8
SWEEPS = 12


def read(text):
    r"""Labels by node, and arrows as pairs of nodes.

    >>> read('flowchart BT\n  a & b --> c["C, too"]')
    ({'a': 'a', 'c': 'C, too', 'b': 'b'}, [('a', 'c'), ('b', 'c')])
    """
    labels, arrows = {}, []
    for line in LINE.findall(text):
        sides = [[NODE.fullmatch(part.strip()).groups()
                  for part in side.split('&')] for side in line]
        for start, start_label in sides[0]:
            for end, end_label in sides[1]:
                for name, label in (start, start_label), (end, end_label):
                    labels[name] = label or labels.get(name, name)
                arrows.append((start, end))
    return labels, arrows


def ranks(labels, arrows):
    """Row of every node: one beyond the last row that points to it."""
    found = dict.fromkeys(labels, 0)
    for _ in labels:
        for start, end in arrows:
            found[end] = max(found[end], found[start] + 1)
    # A node that only points stands just before what it points to.
    for name in labels:
        ends = [found[end] for start, end in arrows if start == name]
        if ends:
            found[name] = min(ends) - 1
    return found


def layout(labels, arrows):
    """Centres of nodes, and for every arrow the points that it passes.

    Arrows over several rows get a place of their own in each, so that they
    run between boxes; rows are sorted by their neighbours' means.
    """
    row = ranks(labels, arrows)
    width = {name: LETTER * len(label) + 2 * PAD + GAP
             for name, label in labels.items()}
    paths = []
    for start, end in arrows:
        between = [(start, end, k) for k in range(row[start] + 1, row[end])]
        row.update({place: place[2] for place in between})
        width.update(dict.fromkeys(between, GAP))
        paths.append([start, *between, end])
    near = {place: [] for place in row}
    for path in paths:
        for one, other in pairwise(path):
            near[one].append(other)
            near[other].append(one)
    rows = [[place for place in row if row[place] == k]
            for k in range(max(row.values()) + 1)]
    x = dict.fromkeys(row, 0.)

    def spread(places):
        total, at = sum(width[place] for place in places), 0.
        for place in places:
            x[place] = at + width[place] / 2 - total / 2
            at += width[place]

    for places in rows:
        spread(places)
    for sweep in range(SWEEPS):
        for places in rows[::1 if sweep % 2 else -1]:
            places.sort(key=lambda place: sum(
                x[other] for other in near[place]) / len(near[place]))
            spread(places)
    return {place: (x[place], row[place]) for place in row}, paths


def svg(text):
    """The drawing, in the colour of the text around it."""
    labels, arrows = read(text)
    at, paths = layout(labels, arrows)
    up = not text.lstrip().startswith('flowchart TB')
    last = max(row for _, row in at.values())
    left = min(x - LETTER * len(labels.get(p, '')) / 2 for p, (x, _)
               in at.items()) - 2 * PAD
    size = (2 * -left, last * STEP + HEIGHT + 2 * PAD)

    def point(place):
        x, row = at[place]
        return (x - left,
                PAD + HEIGHT / 2 + STEP * (last - row if up else row))

    sign = -1 if up else 1
    drawn = []
    for path in paths:
        first, *others = map(point, path)
        curve = f'M{first[0]:.0f},{first[1] + sign * HEIGHT / 2:.0f}'
        for k, (x, y) in enumerate(others):
            before = point(path[k])
            # Arrow heads end at the box.
            stop = y - sign * (HEIGHT / 2 + 5) if k == len(others) - 1 else y
            begin = before[1] + (sign * HEIGHT / 2 if k == 0 else 0)
            bend = (stop - begin) / 2
            curve += (f' C{before[0]:.0f},{begin + bend:.0f} '
                      f'{x:.0f},{stop - bend:.0f} {x:.0f},{stop:.0f}')
        drawn.append(f'<path d="{curve}" fill="none" stroke="currentColor" '
                     'opacity="0.45" marker-end="url(#flow-head)"/>')
    for name, label in labels.items():
        x, y = point(name)
        wide = LETTER * len(label) + 2 * PAD
        drawn.append(
            f'<rect x="{x - wide / 2:.0f}" y="{y - HEIGHT / 2:.0f}" '
            f'width="{wide:.0f}" height="{HEIGHT}" rx="6"/>'
            f'<text x="{x:.0f}" y="{y + 5:.0f}">{escape(label)}</text>')
    alt = '; '.join(f'{labels[start]} → {labels[end]}'
                    for start, end in arrows)
    return (
        f'<svg class="flowchart" viewBox="0 0 {size[0]:.0f} {size[1]:.0f}" '
        f'width="{size[0]:.0f}" role="img" aria-label="{escape(alt)}" '
        'xmlns="http://www.w3.org/2000/svg"><defs><marker id="flow-head" '
        'viewBox="0 0 8 8" refX="4" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="currentColor"/>'
        f'</marker></defs>{"".join(drawn)}</svg>')


class Mermaid(SphinxDirective):
    """A ```mermaid block."""
    has_content = True

    def run(self):
        return [nodes.raw('', svg('\n'.join(self.content)), format='html')]


def setup(app):
    app.add_directive('mermaid', Mermaid)
    return {'parallel_read_safe': True}
