# Copyright (c) OpenMMLab. All rights reserved.
"""The page: what stands where, and what follows from a click."""
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, wraps
from html import escape
from typing import Any

import gradio as gr

from sbam_mm.command_line import sentence_of
from sbam_mm.command_line.start import unforeseen
from sbam_mm.errors import UserError
from sbam_mm.models.checkpoint import load_weights
from sbam_mm.visualization.reconstruction import NORM_PIX_NOTE

from . import look, panels
from .controls import Control, controls_of, with_values
from .export import KINDS, config_lines, figure_file
from .moments import Moment
from .session import MOST, Session
from .uploads import read_upload

COLUMNS = 4
# Options that are shown at once.
FEW = 4
QUIET: dict[str, Any] = dict(
    show_progress='hidden', api_visibility='private')
# While a slider is dragged, the newest position counts.
LIVE: dict[str, Any] = dict(QUIET, trigger_mode='always_last')


@dataclass
class Setup:
    """What the page begins with.

    Args:
        session (Session): With pictures.
        keys (list[str]): Of its pictures, in the order of the row.
        chosen (list[str]): Of these, those shown at first.
        maskers (dict[str, dict]): Configs by name, to choose from.
        start (list[str]): Names of the first maskers, one to four.
        about (str): Model and weights, in half a sentence.
        seed, progress: As of ``tools/visualize_masks.py``.
        moments (list[Moment]): Checkpoints of a training.
        trained (bool): Whether the weights are those of a checkpoint.
    """
    session: Session
    keys: list[str]
    chosen: list[str]
    maskers: dict[str, dict]
    start: list[str]
    about: str
    seed: int = 0
    progress: float = 1.
    moments: list[Moment] = field(default_factory=list)
    trained: bool = False


def what_is_wrong(error: Exception) -> str:
    """A sentence for the page, whatever it was."""
    return sentence_of(error) or unforeseen(error)


def or_sentence(draw: Callable[..., str]) -> Callable[..., str]:
    """HTML, or a sentence in its place: the server goes on."""

    @wraps(draw)
    def drawn(*args: Any) -> str:
        try:
            return draw(*args)
        except Exception as error:
            return panels.sentence(what_is_wrong(error))

    return drawn


def use_moment(setup: Setup, number: int) -> None:
    """Load the weights of a checkpoint of the training, if there is one."""
    if setup.moments:
        path = setup.moments[int(number) - 1].path
        setup.session.use(path, partial(load_weights, path=path))


def refuse(config: Mapping) -> None:
    """Say again what was wrong with the options that made a config."""
    if 'error' in config:
        raise UserError(config['error'])


@or_sentence
def draw_panel(setup: Setup, config: Mapping, chosen: Sequence[str],
               seed: float, progress: float, layers: Sequence[str],
               moment: int = 1) -> str:
    """What one masker makes of the chosen pictures."""
    session = setup.session
    refuse(config)
    with session.lock:
        use_moment(setup, moment)
        masked = session.mask(config, chosen, int(seed), progress)
        predictions = None
        if 'Reconstruction' in layers:
            predictions = session.reconstruct(masked, chosen)
    return panels.panel(masked, session.pictures(chosen), layers, predictions)


def take_files(setup: Setup, files: Sequence[str], keys: list[str],
               chosen: list[str]) -> tuple[list[str], list[str], str]:
    """Read what was dropped in; new pictures are chosen, alone.

    Returns:
        tuple: The keys of the row, those chosen, and HTML with a sentence
        on each file that is no image.
    """
    said, new = [], []
    for path in files or []:
        try:
            image, remark = read_upload(path, **setup.session.decoding)
            new.append(setup.session.add(_name(path), image))
            said += [remark] if remark else []
        except Exception as error:
            said.append(what_is_wrong(error))
    if len(new) > MOST:
        said.append(f'{len(new)} images came in; the first {MOST} are shown.')
    new = list(dict.fromkeys(new))[:MOST]
    row = [*new, *(key for key in keys if key not in new)][:2 * MOST]
    return (row, new or [key for key in chosen if key in row],
            ''.join(map(panels.sentence, said)))


def _name(path: str) -> str:
    return path.replace('\\', '/').rpartition('/')[2]


def toggled(chosen: Sequence[str], key: str) -> list[str]:
    """The chosen pictures after a click on one; one at least stays."""
    if key not in chosen:
        return [*chosen, key]
    return [one for one in chosen if one != key] or [key]


@or_sentence
def draw_attention(setup: Setup, chosen: Sequence[str], patch: int | None,
                   block: float, head: Any, moment: int = 1) -> str:
    """Attention of one patch over the first chosen picture."""
    session = setup.session
    with session.lock:
        use_moment(setup, moment)
        picture = session.pictures(chosen[:1])[0]
        found = session.attention(picture.key, patch, int(block),
                                  None if head == 'mean' else int(head))
    rows, columns = found.shape
    layer, = panels.score_layers(found[None])
    mark, whose = '', 'the class token'
    if patch is not None:
        row, column = divmod(patch, columns)
        whose = f'the patch in row {row + 1}, column {column + 1}'
        mark = (f'<span class="query" style="left:{100 * column / columns}%;'
                f'top:{100 * row / rows}%;width:{100 / columns}%;'
                f'height:{100 / rows}%"></span>')
    return (panels.photo(picture.key, layer + mark, 'grey')
            + f'<p class="note">What {whose} attends to in '
            f'{escape(picture.name)}.</p>')


def clicked_patch(setup: Setup, x: float, y: float) -> int:
    """The patch at a point, in shares of the picture's sides."""
    patch = setup.session.model.backbone.patch_size
    rows, columns = (side // patch for side in setup.session.size)
    row = min(max(int(y * rows), 0), rows - 1)
    return row * columns + min(max(int(x * columns), 0), columns - 1)


def input_of(control: Control) -> Any:
    """The component that sets an option."""
    options: dict[str, Any] = dict(
        label=control.label, info=control.text or None, interactive=True,
        elem_classes='option')
    if control.kind == 'slider':
        return gr.Slider(control.low, control.high, control.value,
                         step=control.step, **options)
    if control.kind == 'switch':
        return gr.Checkbox(control.value, **options)
    if control.kind == 'choice':
        return gr.Dropdown(
            [(str(one), one) for one in control.choices],
            value=control.value, **options)
    # Gradio's numbers are never empty.
    return gr.Textbox('', placeholder='none', **options)


def value_of(control: Control, entered: Any) -> Any:
    """What a component says; an empty text is None."""
    if control.kind != 'number':
        return entered
    try:
        return float(entered) if entered.strip() else None
    except ValueError as error:
        raise UserError(f'{control.label} is a number, or nothing, and not '
                        f'{entered!r}.') from error


def build_page(setup: Setup) -> gr.Blocks:
    """The whole page; :func:`sbam_mm.explorer.serve` opens it."""
    session = setup.session
    depth, heads = session.encoder
    pixels = setup.trained and getattr(
        getattr(session.model, 'head', None), 'predicts_pixels', False)
    layers = [one for one in panels.LAYERS if pixels
              or one != 'Reconstruction']

    # What was dropped in is read at once, and its file not kept.
    with gr.Blocks(title='Mask explorer', analytics_enabled=False,
                   delete_cache=(600, 600)) as page:
        gr.HTML(f'<div class="title"><h1>Mask explorer</h1><p>'
                f'{escape(setup.about)}</p></div>')
        keys, chosen = gr.State(setup.keys), gr.State(setup.chosen)
        styles = gr.HTML(panels.style_sheet(session.kept(setup.keys)),
                         elem_id='styles')
        with gr.Row(equal_height=True):
            with gr.Column(scale=4, min_width=300):
                row = gr.HTML(
                    panels.strip(session.kept(setup.keys),
                                 setup.chosen),
                    js_on_load=look.STRIP_CLICK, elem_id='row')
            with gr.Column(scale=1, min_width=240):
                drop = gr.File(
                    file_count='multiple', label='Your images', height=118,
                    elem_id='drop')
        said = gr.HTML(elem_id='said')
        with gr.Row(elem_classes='toolbar'):
            number = gr.Radio(
                list(range(1, COLUMNS + 1)), value=len(setup.start),
                label='Maskers side by side', min_width=250)
            shown = gr.CheckboxGroup(
                layers, value=['Mask', *layers[2:]], label='Show',
                min_width=366 if pixels else 220)
            opacity = gr.Slider(0, 1, .75, step=.05, min_width=180,
                                label='Opacity')
            seed = gr.Slider(0, 99, setup.seed, step=1, min_width=180,
                             label='Seed')
            progress = gr.Slider(
                0, 1, setup.progress, step=.01, min_width=180,
                label='Progress')
        moment = gr.Slider(
            1, max(2, len(setup.moments)), max(1, len(setup.moments)), step=1,
            label='Checkpoint', visible=len(setup.moments) > 1,
            info=setup.moments[-1].label if setup.moments else None,
            elem_id='moment')
        common = [chosen, seed, progress, shown, moment]

        configs, outputs, columns = [], [], []
        draw = partial(draw_panel, setup)
        with gr.Row(elem_classes='maskers'):
            for place in range(COLUMNS):
                used = place < len(setup.start)
                name = setup.start[place] if used else list(
                    setup.maskers)[0]
                with gr.Column(min_width=150, visible=used) as column:
                    config, panel = _column(setup, name, common, draw)
                columns.append(column)
                configs.append(config)
                outputs.append(panel)

        def draw_all(number: int, *args: Any) -> list[Any]:
            made, rest = args[:COLUMNS], args[COLUMNS:]
            return [draw(one, *rest) if i < number else gr.skip()
                    for i, one in enumerate(made)]

        everything: dict[str, Any] = dict(
            fn=draw_all, inputs=[number, *configs, *common],
                          outputs=outputs)
        page.load(**everything, **QUIET)
        for one in (seed, progress, moment):
            one.input(**everything, **LIVE)
        shown.change(**everything, **LIVE)
        opacity.input(None, opacity, None, js=look.OPACITY)
        number.change(
            lambda count: [gr.Column(visible=i < count)
                           for i in range(COLUMNS)],
            number, columns, **QUIET).then(**everything, **QUIET)
        if setup.moments:
            def reached(number: float) -> tuple[float, Any]:
                now = setup.moments[int(number) - 1]
                return now.progress, gr.update(info=now.label)

            moment.input(reached, moment, [progress, moment], **LIVE)

        def click(keys: list[str], chosen: list[str], event: gr.EventData
                  ) -> tuple[list[str], str]:
            now = toggled(chosen, str(event.key))
            return now, panels.strip(session.kept(keys), now)

        row.click(click, [keys, chosen], [chosen, row], **QUIET).then(
            **everything, **QUIET)

        def take(files: list[str], keys: list[str], chosen: list[str]):
            keys, chosen, html = take_files(setup, files, keys, chosen)
            pictures = session.kept(keys)
            return (keys, chosen, html, panels.style_sheet(pictures),
                    panels.strip(pictures, chosen), None)

        drop.upload(take, [drop, keys, chosen],
                    [keys, chosen, said, styles, row, drop], **QUIET).then(
                        **everything, **QUIET)
        if pixels and getattr(session.model.head, 'norm_pix', False):
            gr.HTML(f'<p class="note">{NORM_PIX_NOTE}</p>')
        _export(setup, number, configs, common)
        if setup.trained and depth and heads:
            page.load(**_attention(setup, depth, heads, chosen, moment),
                      **QUIET)
    return page


def _column(setup: Setup, name: str, common: list,
            draw: Callable[..., str]) -> tuple[gr.State, gr.HTML]:
    """One masker: its name, pictures, options and lines of a config."""
    depth, heads = setup.session.encoder
    choose = gr.Dropdown(
        list(setup.maskers), value=name, label='Masker', show_label=False,
        container=False, elem_classes='masker')
    config = gr.State(setup.maskers[name])
    panel = gr.HTML()
    options = gr.Column(elem_classes='options')
    with gr.Accordion('Config', open=False):
        lines = gr.Code(
            config_lines(setup.maskers[name]), language='python',
            show_label=False, interactive=False, lines=2, wrap_lines=True,
            buttons=['copy'], show_line_numbers=False)

    def chosen_masker(name: str, *rest: Any) -> tuple[dict, str, str]:
        made = setup.maskers[name]
        return made, draw(made, *rest), config_lines(made)

    choose.change(chosen_masker, [choose, *common], [config, panel, lines],
                  **QUIET)

    with options:
        # One column after the other: Gradio writes down the page's events
        # while another column would still add its own.
        @gr.render(inputs=choose, show_progress='hidden',
                   concurrency_limit=1, concurrency_id='options')
        def show_options(name: str) -> None:
            own = setup.maskers[name]
            controls = controls_of(own, depth or 12, heads or 12)
            inputs = [input_of(control) for control in controls[:FEW]]
            if len(controls) > FEW:
                with gr.Accordion('More options', open=False):
                    inputs += [input_of(one) for one in controls[FEW:]]
            if not inputs:
                gr.HTML('<p class="note">This masker has no options.</p>')

            def changed(*values: Any) -> tuple[dict, str, str]:
                rest = values[len(inputs):]
                try:
                    set_to = [value_of(*pair)
                              for pair in zip(controls, values)]
                    made = with_values(own, controls, set_to)
                except UserError as error:
                    wrong = dict(error=str(error))
                    return wrong, draw(wrong, *rest), ''
                return made, draw(made, *rest), config_lines(made)

            for one in inputs:
                # A text's `input` does not notice what is deleted.
                event = one.change if isinstance(
                    one, gr.Textbox) else one.input
                event(changed, [*inputs, *common], [config, panel, lines],
                      **LIVE)

    return config, panel


def _export(setup: Setup, number: Any, configs: list, common: list) -> None:
    """Save what is on the page."""
    with gr.Row(elem_classes='save'):
        kind = gr.Radio(list(KINDS), value='PDF', show_label=False,
                        container=False, min_width=250, scale=0)
        button = gr.Button('Save figure', scale=0, min_width=160)
    file, wrong = gr.Textbox(visible=False), gr.HTML()

    def save(kind: str, number: int, *args: Any) -> tuple[str, str]:
        made, rest = args[:int(number)], args[COLUMNS:]
        chosen, seed, progress, layers, moment = rest
        try:
            for one in made:
                refuse(one)
            about = setup.about
            if setup.moments:
                about += f'; {setup.moments[int(moment) - 1].label}'
            with setup.session.lock:
                use_moment(setup, moment)
                content = figure_file(
                    setup.session, made, chosen, kind, int(seed), progress,
                    f'{about}.', layers)
        except Exception as error:
            return '', panels.sentence(what_is_wrong(error))
        return json.dumps(dict(
            name=f'masks.{kind.lower()}', address=panels.data_uri(
                content, 'application/octet-stream'))), ''

    button.click(save, [kind, number, *configs, *common], [file, wrong],
                 api_visibility='private').then(
                     None, file, None, js=look.DOWNLOAD)


def _attention(setup: Setup, depth: int, heads: int, chosen: gr.State,
               moment: Any) -> dict[str, Any]:
    """Attention of a patch that is clicked; returns what draws it."""
    gr.HTML('<div class="title"><h1>Attention</h1><p>Click a patch to see '
            'what it attends to.</p></div>')
    patch = gr.State(None)
    with gr.Row():
        with gr.Column(min_width=280, scale=2):
            picture = gr.HTML(js_on_load=look.PATCH_CLICK,
                              elem_classes='clickable', elem_id='attention')
        with gr.Column(min_width=240, scale=2):
            block = gr.Slider(0, depth - 1, depth - 1, step=1, label='block')
            head = gr.Dropdown(
                [('mean over heads', 'mean'),
                 *((f'head {i}', i) for i in range(heads))],
                value='mean', label='head')
            reset = gr.Button('Class token')
    show: dict[str, Any] = dict(
        fn=partial(draw_attention, setup),
                inputs=[chosen, patch, block, head, moment], outputs=picture)

    def click(event: gr.EventData) -> int:
        return clicked_patch(setup, float(event.x), float(event.y))

    picture.click(click, None, patch, **QUIET).then(**show, **QUIET)
    reset.click(lambda: None, None, patch, **QUIET).then(**show, **QUIET)
    for one in (block, head, moment):
        one.input(**show, **LIVE)
    chosen.change(**show, **QUIET)
    return show
