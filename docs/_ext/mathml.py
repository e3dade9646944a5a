# Copyright (c) OpenMMLab. All rights reserved.
"""Formulae as MathML, which browsers draw themselves: MathJax is a download.

docutils has the translation, but Sphinx does not use it.
"""
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def visit_math(self, node):
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def visit_math_block(self, node):
    self.body.append('<div class="math">'
                     f'{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer(
        'mathml', (visit_math, None), (visit_math_block, None))
    return {'parallel_read_safe': True}
