# Copyright (c) OpenMMLab. All rights reserved.
"""The documentation site: `make docs` builds it from the Markdown pages."""
import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS / '_ext')]

from mmcv.transforms.utils import cache_randomness  # noqa: E402

from sbam_mm.version import __version__  # noqa: E402

project = 'sbam_mm'
author = 'The contributors of sbam_mm'
copyright = 'OpenMMLab'
release = version = __version__

extensions = [
    'myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.autosummary',
    'sphinx.ext.napoleon', 'sphinx.ext.viewcode', 'sphinx_copybutton',
    # Of docs/_ext.
    'flowchart', 'gallery', 'mathml'
]
exclude_patterns = ['_*']
templates_path = ['_templates']

html_theme = 'furo'
html_title = f'sbam_mm {version}'
html_static_path = ['_static']
html_css_files = ['site.css']
html_show_sphinx = False
html_math_renderer = 'mathml'
html_copy_source = False

myst_heading_anchors = 4
myst_enable_extensions = ['attrs_block']
myst_fence_as_directive = ['mermaid']
nb_execution_mode = 'off'
nb_merge_streams = True

autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'
# torch's text on `forward` says nothing of ours.
autodoc_inherit_docstrings = False
add_module_names = False
toc_object_entries_show_parents = 'hide'
napoleon_use_ivar = True
# A signature that is longer has a line for each argument.
maximum_signature_line_length = 72


# As a descriptor should, but mmcv's does not: on a class it is itself.
bound = cache_randomness.__get__
cache_randomness.__get__ = lambda self, obj, cls: (
    self if obj is None else bound(self, obj, cls))


def bring_notebooks() -> None:
    """Sphinx reads what is below docs/; links then start from there."""
    folder = DOCS / 'notebooks'
    folder.mkdir(exist_ok=True)
    for old in folder.glob('*.ipynb'):
        old.unlink()
    for notebook in sorted((ROOT / 'notebooks').glob('*.ipynb')):
        text = notebook.read_text(encoding='utf-8')
        text = re.sub(r'\]\(\.\./(docs/)?', lambda link:
                      '](../' if link[1] else '](../../', text)
        (folder / notebook.name).write_text(text, encoding='utf-8')


bring_notebooks()


def navigate(app, name, content):
    """`<!-- toctree: GLOB -->`, which GitHub does not show, is a toctree.

    Globs that match nothing, which Sphinx warns of, are left out.
    """
    text = re.sub(
        '<!-- toctree: (.*) -->',
        r'```{toctree}\n:hidden:\n:glob:\n\n\1\n```', content[0])
    content[0] = re.sub(
        r'^\w+/?\*$', lambda glob: glob[0] if [*DOCS.glob(glob[0])] else '',
        text, flags=re.M)


def skip(app, what, name, member, skipped, options):
    """Leave out fields of named tuples: the text of the class has them."""
    text = getattr(member, '__doc__', None) or ''
    return skipped or text.startswith('Alias for field number')


def setup(app):
    app.connect('source-read', navigate)
    app.connect('autodoc-skip-member', skip)
