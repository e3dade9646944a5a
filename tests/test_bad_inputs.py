# Copyright (c) OpenMMLab. All rights reserved.
"""Whatever is wrong with its input, a tool ends with one sentence.

    make test-slow ARGS=tests/test_bad_inputs.py

No traceback, and nothing that is wrong is taken without a word.
"""
import json
import shutil

import pytest
import torch
from small_runs import small_config, train, write_images
from started_tools import ROOT, call_tool

pytestmark = pytest.mark.slow

TRAIN = 'train {config} --work-dir {out}'
OPTION = f'{TRAIN} --cfg-options '
EVALUATE = ('evaluate {checkpoint} --config {config} --data {images} --out '
            '{out} --workers 0')
MASKS = 'visualize_masks {image} --config {config} --out {out}/a.png'
REC = ('visualize_reconstruction {config} {checkpoint} {image} --out '
       '{out}/a.png')
TEACHERS = ('visualize_teachers {image} --config {config} --out {out}/a.png '
            '--teacher')
METRICS = ('mask_metrics --images {image} --annotations {boxes} --config '
           '{config} --out {out}/a')
SELECT = ('select_attention --images {image} --annotations {boxes} --config '
          '{config} --out {out}/a')
EXPLORE = 'explore {image} --config {config}'
STUDY = 'study {place}/study.py --work-dir {out} --dry-run'
SEGMENTS = 'generate_segments {images}/train --out {out}/a.npy'
QUICK = 'quickstart --data {images} --work-dir {out} --epochs 1'

# What is no checkpoint, and what is one of something else.
FILES = ('empty.pth', 'text.pth', 'half.pth', 'list.pth', 'number.pth',
         'zip.pth', 'nan.pth', 'integer.pth', 'complex.pth', 'other.pth',
         'missing.pth', 'folder.pth', 'none.safetensors')

COMMANDS = [
    # Configs
    *(f'train {config}' for config in (
        '{place}/missing.py', '{place}', '{place}/text.txt',
        '{place}/empty.py', '{place}/syntax.py', '{place}/raises.py',
        '{place}/exits.py', '{place}/base.py', '{place}/broken.yaml',
        '{place}/broken.json', '{place}/list.yaml')),
    # Options that nothing knows, and values that nothing can use
    *(OPTION + option for option in (
        'model.type=sbam_mm.MEA', 'model.type=Nothing',
        'model.typ=sbam_mm.MAE', 'model.backbone.type=sbam_mm.MaskedVit',
        'model.backbone.archh=tiny', 'model.backbone.arch=huger',
        'model.backbone.patch_size=0', 'model.backbone.patch_size=5',
        'model.backbone.img_size=-32', 'model.backbone.drop_path_rate=2',
        'model.masker.type=sbam_mm.SBAMM', 'model.masker.ratioo=0.5',
        'model.masker.ratio=2', 'model.masker.ratio=-1',
        'model.masker.ratio=abc', 'model.masker.ratio=None',
        'model.masker.noise=nan', 'model.masker.noise=-1',
        'model.masker.delta=inf', 'model.masker.delta_r=nan',
        'model.masker.scope=image', 'model.neck.type=sbam_mm.Decoder',
        'model.neck.embed_dim=7', 'model.neck.embed_dims=96',
        'model.neck.img_size=48', 'model.neck.patch_size=8',
        'model.head.norm_pixel=True', 'model.head.patch_size=8',
        'model.head.reduction=mean', 'model.teacher.type=sbam_mm.Teachr',
        'optim_wrapper.type=OptimWraper', 'optim_wraper.type=OptimWrapper',
        'optim_wrapper.optimizer.type=AdamX', 'optim_wrapper.optimizer.lrr=1',
        'optim_wrapper.optimizer.lr=-1', 'optim_wrapper.optimizer.lr=abc',
        'optim_wrapper.accumulative_counts=0',
        'optim_wrapper.accumulative_counts=x',
        'optim_wrapper.clip_grad.max_normm=1',
        'train_cfg.max_epochs=0', 'train_cfg.max_epochs=-3',
        'train_cfg.max_epochs=x', 'train_cfg.max_epoch=3',
        'train_cfg.type=Loop', 'train_dataloader.batch_size=0',
        'train_dataloader.batch_size=-4', 'train_dataloader.batch_size=x',
        'train_dataloader.batchsize=4', 'train_dataloader.num_workers=-1',
        'train_dataloader.sampler.type=Samplr',
        'train_dataloader.collate_fn.type=collate',
        'train_dataloader.dataset.type=sbam_mm.ImageFoldr',
        'train_dataloader.dataset.data_root={place}/missing',
        'train_dataloader.dataset.data_prefix=missing',
        'train_dataloader.dataset.ann_file={place}/missing.txt',
        'train_dataloader.dataset.pipeline.0.type=RandomCroop',
        'train_dataloader.dataset.pipeline.0.size=32',
        'train_dataloader.dataset.pipeline.0.scale=0',
        'train_dataloader.dataset.max_unreadable=2',
        'param_scheduler.0.type=Linear', 'param_scheduler.0.start=0',
        'param_scheduler.0.begin=9', 'default_hooks.checkpoint.type=Saver',
        'default_hooks.checkpoint.intervall=1',
        'default_hooks.logger.interval=x', 'custom_hooks.0.type=EpochSeed',
        'visualizer.type=Visualiser', 'randomness.seed=x',
        'randomness.sead=3', 'trian_cfg.max_epochs=3', 'model=3',
        'model.x.y=3',
        'env_cfg.mp_cfg.mp_start_method=spoon', 'log_level=LOUD',
        'custom_imports.imports=[nothing]',
    )),
    f'{TRAIN} --cfg-options model', f'{TRAIN} --cfg-options a=dict(b=1)',
    f'{TRAIN} --cfg-options a=[1,2', f'{TRAIN} --seed -1',
    f'{TRAIN} --seed 1.5', f'{TRAIN} --seed 99999999999999',
    f'{TRAIN} --data-root {{place}}/missing', f'{TRAIN} --launcher pytorch',
    f'{TRAIN} --launcher torch', f'{TRAIN} --auto-scale-lr --resume x',
    f'{TRAIN} --unknown', 'train',
    # Places
    'train {config} --work-dir {place}/text.txt',
    'train {config} --work-dir /dev/null/x',
    'train {config} --work-dir /proc/x',
    # Data
    *(OPTION + f'train_dataloader.dataset.data_root={{place}}/{name}'
      for name in ('no_images', 'no_classes', 'text_images', 'text.txt')),
    # Files
    *(f'{TRAIN} --resume {{place}}/{name}' for name in FILES),
    *(f'{OPTION}load_from={{place}}/{name}' for name in FILES),
    *(f'test {{finetune}} {{place}}/{name} --work-dir {{out}} --data-root '
      '{images}' for name in (*FILES, 'bare.pth')),
    'test {config} {checkpoint} --work-dir {out}',
    *(f'evaluate {{place}}/{name} --config {{config}} --data {{images}} '
      '--out {out} --workers 0' for name in FILES),
    *(f'{MASKS} --checkpoint {{place}}/{name}' for name in FILES),
    *(f'visualize_reconstruction {{config}} {{place}}/{name} {{image}} --out '
      '{out}/a.png' for name in FILES),
    *(f'convert_checkpoint {{place}}/{name} {{out}}/a.pth --to timm'
      for name in FILES),
    *(f'{METRICS} --checkpoint {{place}}/{name}' for name in FILES),
    *(f'{SELECT} --checkpoint {{place}}/{name}' for name in FILES),
    *(f'plot_segment_bias {{place}}/{name} --out {{out}}/a' for name in FILES),
    'plot_segment_bias {checkpoint} --out {out}/a',
    'convert_checkpoint {checkpoint} {out}/a.onnx --to timm',
    'convert_checkpoint {checkpoint} {out}/a.pth --to nothing',
    'convert_checkpoint {checkpoint} /dev/null/a.pth --to ours',
    'convert_checkpoint {checkpoint} {images} --to timm',
    *(f'convert_checkpoint {{checkpoint}} {{out}}/{more}' for more in (
        'a --to mae', 'a.b --to hf', 'a --to hf --config {place}/missing.py',
        'a --to hf --config {place}/empty.py',
        'a --to timm --results {place}/missing.json',
        'a --to timm --results {place}/text.txt')),
    # Evaluation
    *(f'{EVALUATE} {more}' for more in (
        '--protocol pca', '--protocol', '--set knn.k=0', '--set knn.k=x',
        '--set knn.k=1000', '--set knn.n=1', '--set linear.epochs=1',
        '--seed -1', '--batch-size 0', '--workers -1', '--size 7',
        '--size -32', '--classes {place}/missing.txt',
        '--classes {place}/empty.txt', '--device tpu', '--branch best')),
    'evaluate {checkpoint} --config {config} --data {place}/missing --out '
    '{out}',
    'evaluate {checkpoint} --config {config} --data {place}/no_images --out '
    '{out}',
    'evaluate {checkpoint} --config {config} --data {images} --out '
    '{place}/text.txt --workers 0',
    'evaluate {checkpoint} --arch enormous --data {images} --out {out}',
    'evaluate {checkpoint} --arch tiny --data {images} --out {out}',
    # Results of another shape
    *(f'evaluate {{checkpoint}} --config {{config}} --data {{images}} --out '
      f'{{place}}/stores/{name} --workers 0' for name in (
          'list', 'half', 'number', 'protocols', 'entry')),
    *(f'study {{place}}/study.py --work-dir {{place}}/studies/{name} --dry-run'
      for name in ('list', 'half', 'empty', 'types')),
    *(f'quickstart --data {{place}}/sources/{name} --work-dir {{out}}'
      for name in ('list', 'half', 'types', 'outside')),
    # Pictures
    f'{MASKS} --masker nothing', f'{MASKS} --ratios 2', f'{MASKS} --ratios x',
    f'{MASKS} --ratios nan', f'{MASKS} --size 7', f'{MASKS} --size 0',
    f'{MASKS} --dpi 0', f'{MASKS} --progress 3', f'{MASKS} --seed -1',
    f'{MASKS} --compare sbam,nothing', f'{MASKS} --photographs nothing',
    'visualize_masks {place}/text.txt --config {config} --out {out}/a.png',
    'visualize_masks {place}/missing.png --config {config} --out {out}/a.png',
    'visualize_masks {image} --config {config} --out {out}/a.docx',
    'visualize_masks {image} --config {config} --out /dev/null/a.png',
    'visualize_masks {image} --config {place}/empty.py --out {out}/a.png',
    f'{REC} --ratio 2', f'{REC} --ratio nan', f'{REC} --dpi 0',
    f'{REC} --seed -1',
    'visualize_reconstruction {config} {checkpoint} {place}/text.txt',
    *(f'{TEACHERS} {more}' for more in (
        'nothing', 'timm:nothing', 'hf:{place}/empty_folder', '{place}',
        '{checkpoint} nothing', '{checkpoint} heads=2', '{checkpoint} head=9',
        '{checkpoint} block=7', '{checkpoint} queries=some',
        '{checkpoint} random', '{checkpoint} {image}',
        '{checkpoint} --grid 0', '{checkpoint} --masker nothing',
        '{checkpoint} --masker random', '{checkpoint} --photographs cat',
        '{checkpoint} --out {out}/a.docx')),
    *(f'{TEACHERS} {{place}}/{name}' for name in FILES),
    'visualize_teachers {place}/no_images --config {config} --teacher x',
    'visualize_teachers {image}',
    *(f'{EXPLORE} {more}' for more in (
        '--port 0', '--port x', '--port 80000', '--host nowhere.invalid',
        '--host 192.0.2.1', '--compare nothing',
        '--compare sbam,sbm,random,amt,gpa', '--progress 3', '--seed -1',
        '--annotations {place}/missing.json', '--teacher nothing',
        '--work-dir {place}/missing', '--work-dir {place}/no_images',
        '--work-dir {place}/work --checkpoint {checkpoint}')),
    *(f'{EXPLORE} --checkpoint {{place}}/{name}' for name in FILES),
    'explore {place}/text.txt --config {config}',
    'explore {place}/missing.png --config {config}',
    'explore {place}/no_images --config {config}',
    'explore {image} --config {place}/empty.py',
    'explore --annotations {boxes} --config {config}',
    # Measures
    f'{METRICS} --ratio 2', f'{METRICS} --seeds 0', f'{METRICS} --limit 0',
    f'{METRICS} --delta nan', f'{METRICS} --threshold 3',
    f'{METRICS} --batch-size 0', f'{METRICS} --device tpu',
    *(f'mask_metrics --images {{image}} --annotations {{place}}/{name} '
      '--config {config} --out {out}/a' for name in (
          'missing.json', 'text.txt', 'list.json', 'boxes_wrong.json',
          'empty_folder')),
    f'{SELECT} --ratio 2', f'{SELECT} --threshold nan',
    f'{SELECT} --batch-size 0', f'{SELECT} --top all',
    *(f'pimr {{place}}/{name} --out {{out}}/a' for name in (
        'missing.csv', 'text.txt', 'list.json', 'empty.txt', 'short.csv')),
    # Studies
    *(f'{STUDY} {more}' for more in (
        '--jobs 0', '--jobs x', '--threads 0', '--processes 0',
        '--nothing')),
    *(f'study {{place}}/studies_of_others/{name}.py --work-dir {{out}} '
      '--dry-run' for name in (
          'masker', 'ratio', 'twice', 'seed', 'seeds', 'epochs', 'option',
          'figure', 'stage', 'exclude')),
    'study {place}/missing.py', 'study {place}/empty.py',
    'study {place}/syntax.py', 'study', 'study {config}',
    'study {place}/study.py --work-dir {out} --slurm nothing',
    # Segments
    f'{SEGMENTS} --size 0', f'{SEGMENTS} --size x', f'{SEGMENTS} --shard 2/2',
    f'{SEGMENTS} --option scale=x', f'{SEGMENTS} --option nothing=1',
    f'{SEGMENTS} --backend magic', f'{SEGMENTS} --max-masks 0',
    f'{SEGMENTS} --verify', f'{SEGMENTS} --classes {{place}}/missing.txt',
    'generate_segments {place}/missing --out {out}/a.npy',
    'generate_segments {place}/no_images --out {out}/a.npy',
    'generate_segments {place}/empty.py --out {out}/a.npy',
    'generate_segments {images}/train --out /dev/null/a.npy',
    # Quickstart and its data
    f'{QUICK} --epochs 0', f'{QUICK} --epochs x', f'{QUICK} --seed -1',
    f'{QUICK} --num-train 0', f'{QUICK} --num-train -5',
    'quickstart --data {place}/missing --work-dir {out}',
    'quickstart --data {place}/no_images --work-dir {out}',
    'quickstart --data {place}/one_class_less --work-dir {out}',
    'quickstart --data {images} --work-dir {place}/text.txt',
    'prepare_data --data {place}/missing', 'prepare_data --data {place}',
    'prepare_data --data {place}/no_images',
    'prepare_data --data {place}/sources/list',
]


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A finished training, and much that is wrong."""
    folder = tmp_path_factory.mktemp('place')
    images = write_images(folder / 'images')
    config = small_config(
        folder / 'config.py', images, train_cfg__max_epochs=1)
    assert train(config, folder / 'work').code == 0
    whole = folder / 'work' / 'epoch_1.pth'
    write_files(folder, whole)
    write_checkpoints(folder, whole)
    write_stores(folder)
    write_studies(folder)
    return folder


def write_files(folder, whole):
    texts = {
        'text.txt': 'no config, no image', 'empty.py': '', 'empty.txt': '',
        'syntax.py': 'model = dict(', 'raises.py': '1 / 0',
        'exits.py': 'raise SystemExit(0)', 'base.py': "_base_ = 'missing.py'",
        'broken.yaml': 'model: {', 'broken.json': '{"model":',
        'list.yaml': '- 1\n- 2\n', 'list.json': '[1, 2]',
        'boxes.json': '{"0.png": [[4, 8, 16, 16]]}',
        'boxes_wrong.json': '{"0.png": [["a", 8, 16]]}',
        'short.csv': 'masker,ratio\nsbam,0.5\n', 'none.safetensors': 'x',
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    for name in ('no_images/train/cat', 'no_images/test/cat', 'no_classes',
                 'empty_folder', 'folder.pth', 'text_images/train/cat'):
        (folder / name).mkdir(parents=True)
    (folder / 'text_images/train/cat/a.png').write_text('no image')
    shutil.copytree(folder / 'images', folder / 'one_class_less')
    shutil.rmtree(folder / 'one_class_less/test/dog')


def write_checkpoints(folder, whole):
    (folder / 'empty.pth').write_bytes(b'')
    (folder / 'text.pth').write_text('no checkpoint')
    content = whole.read_bytes()
    (folder / 'half.pth').write_bytes(content[:len(content) // 2])
    torch.save([1, 2], folder / 'list.pth')
    torch.save(3, folder / 'number.pth')
    shutil.make_archive(str(folder / 'zip'), 'zip', folder / 'images')
    (folder / 'zip.zip').rename(folder / 'zip.pth')
    torch.save({'a.weight': torch.ones(2)}, folder / 'other.pth')
    state = torch.load(whole, weights_only=False)['state_dict']
    torch.save(state, folder / 'bare.pth')
    key = next(key for key in state if key.endswith('ln1.weight'))
    for name, change in dict(
            nan=lambda x: x * torch.nan, integer=lambda x: x.long(),
            complex=lambda x: x.to(torch.complex64)).items():
        checkpoint = torch.load(whole, weights_only=False)
        checkpoint['state_dict'][key] = change(state[key])
        torch.save(checkpoint, folder / f'{name}.pth')


def write_studies(folder):
    """A study of the training, and what is wrong with others."""
    whole = dict(config=str(folder / 'config.py'), seeds=[0],
                 axes=dict(masker=['random', 'sbam']))
    texts = dict(
        masker=dict(axes=dict(masker=['nothing'])),
        ratio=dict(axes=dict(ratio=[2])),
        twice=dict(axes=dict(ratio=[.5, .5])),
        seed=dict(seeds=[-1]), seeds=dict(seeds=['x']),
        epochs=dict(options=dict(epochs=0)),
        option=dict(axes={'model.maskerr.x': [1]}),
        figure=dict(figures=dict(a=dict(kind='lines'))),
        stage=dict(stages=[dict(protocol='nothing')]),
        exclude=dict(exclude=[dict(masker='nothing')]))
    (folder / 'studies_of_others').mkdir()
    for name, changes in (('study', {}), *texts.items()):
        path = folder / ('studies_of_others' if changes else '')
        (path / f'{name}.py').write_text(''.join(
            f'{key} = {value!r}\n' for key, value in
            (whole | changes).items()))


def write_stores(folder):
    """JSON files of the tools, with something else in them."""
    half = '{"status": "fini'
    for kind, name, shapes in (
        ('stores', 'results.json', dict(
            list=[], number=3, protocols=dict(protocols=[]),
            entry=dict(protocols=dict(knn=[1])))),
        ('studies', 'study.json', dict(
            list=[], empty={}, types=dict(cells=3))),
        ('sources', 'source.json', dict(
            list=[], types=dict(name=3, provenance=4),
            outside=dict(name='../../x', provenance='x'))),
    ):
        for shape in (*shapes, 'half'):
            path = folder / kind / shape / name
            path.parent.mkdir(parents=True)
            path.write_text(
                json.dumps(shapes[shape]) if shape in shapes else half)
            if kind == 'sources':
                shutil.copytree(folder / 'images', path.parent,
                                dirs_exist_ok=True)


def test_the_list_is_long():
    assert len(COMMANDS) == len(set(COMMANDS)) > 250


@pytest.mark.parametrize('command', COMMANDS)
def test_one_sentence(command, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('DATA_ROOT', raising=False)
    words = dict(
        place=place, config=place / 'config.py', images=place / 'images',
        checkpoint=place / 'work' / 'epoch_1.pth', out=tmp_path / 'out',
        image=place / 'images' / 'test' / 'cat' / '0.png',
        boxes=place / 'boxes.json',
        finetune=ROOT / 'configs' / 'finetune' / 'small.py')
    tool, *args = (word.format(**words) for word in command.split(' '))
    ended = call_tool(tool, *args)
    told = ended.out + ended.err
    assert ended.code == 2, f'taken without a word:\n{told}'
    assert 'Traceback' not in told
    assert 'not foreseen' not in told, told
    said = [line for line in ended.err.splitlines() if 'error: ' in line]
    assert len(said) == 1, told
