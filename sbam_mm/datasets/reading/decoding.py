# Copyright (c) OpenMMLab. All rights reserved.
"""Image files to pixels, whole or only a crop."""
import io
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from sbam_mm.errors import UserError

from .levels import (
    ValueRange,
    channels_last,
    check_size,
    read_numpy,
    read_tiff,
    to_levels,
    upright,
    wrong_channels,
)

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

# EXIF orientations that exchange height and width.
_ON_ITS_SIDE = (5, 6, 7, 8)
# Chroma is interpolated between rows, so the last rows before a cut differ.
_MARGIN = 16
# Beginnings of little and big endian TIFF and BigTIFF, and of PNG.
_TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_PNG, _PNG_BITS = b'\x89PNG\r\n\x1a\n', 24
# TIFF's numbers for the bits per sample, and whether they are unsigned, 1.
_BITS, _SAMPLE_FORMAT = 258, 339
_NO_MORE_THAN_16 = ('PNG', 'PPM')


def decode_image(content: bytes,
                 channels: int = 3,
                 value_range: ValueRange | None = None) -> np.ndarray:
    """Decode an image file completely, or raise.

    OpenCV returns a truncated JPEG as a half-grey picture with a warning that
    nobody reads; Pillow raises. Pillow in turn clips more than 8 bits to
    white or black, so such images become levels here, by the rule of
    :mod:`sbam_mm.datasets.reading.levels`.

    Args:
        content (bytes): A file in any format Pillow reads, or a TIFF or
            ``.npy`` file of any kind of numbers.
        channels (int): With 3, grey, palette, CMYK and RGBA images become
            colour; with 1, colour ones grey. Other files, and other numbers,
            must have exactly this many channels.
        value_range (Sequence, optional): (low, high), or one for each
            channel: which values become black and white in files of more
            than 8 bits. Defaults to None: not known.

    Returns:
        np.ndarray: (H, W, channels) uint8, the EXIF orientation applied.
        Three channels are in mmcv's order, which is BGR; any other number is
        in the file's. Alpha is dropped from colour.

    Raises:
        Exception: Whatever Pillow raises for a broken file; mostly
            ``OSError``, also ``SyntaxError`` (PNG), ``ValueError`` and others.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new('L', (4, 2), 7).save(file, 'png')
        >>> decode_image(file.getvalue()).shape
        (2, 4, 3)
    """
    pixels = _decoded(content, channels, value_range)
    # A view, as Pillow's pixels are not to be copied.
    return np.asarray(pixels)[..., ::-1] if channels == 3 else np.asarray(
        pixels)


def _decoded(content: bytes, channels: int,
             value_range: ValueRange | None) -> Image.Image | np.ndarray:
    """Pillow's RGB image, or (H, W, channels) in RGB or the file's order."""
    array = read_numpy(content)
    if array is not None:
        return to_levels(channels_last(array, channels), value_range)
    try:
        file = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        if content[:4] not in _TIFF:
            raise
        return _from_tiff(content, channels, value_range)
    if file.format == 'TIFF' and not (channels in (1, 3) and _plain(file)):
        return _from_tiff(content, channels, value_range)
    if file.mode[0] in 'IF':
        return _deep_grey(file, channels, value_range)
    if value_range is not None and content[:8] == _PNG and content[
            _PNG_BITS] == 16:
        return _deep_png(file, content, channels, value_range)
    if channels == 3:
        return _upright(file)
    ImageOps.exif_transpose(file, in_place=True)
    if channels == 1:
        return np.asarray(file.convert('L'))[..., None]
    bands = len(file.getbands())
    if file.mode == 'P' or bands != channels:
        raise UserError(wrong_channels(str(bands), channels))
    return np.asarray(file)


def _plain(file: Image.Image) -> bool:
    """Whether a TIFF file has at most 8 bits and no signs."""
    tags = file.tag_v2  # type: ignore[attr-defined]
    return (set(tags.get(_BITS, (1, ))) <= {1, 2, 4, 8}
            and set(tags.get(_SAMPLE_FORMAT, (1, ))) == {1})


def _from_tiff(content: bytes, channels: int,
               value_range: ValueRange | None) -> np.ndarray:
    values, axes, orientation = read_tiff(content, channels)
    return to_levels(
        upright(channels_last(values, channels, axes), orientation),
        value_range)


def _deep_grey(file: Image.Image, channels: int,
               value_range: ValueRange | None) -> np.ndarray:
    """Of Pillow's modes "I;16" and "I", which PNG and PGM files have."""
    ImageOps.exif_transpose(file, in_place=True)
    values = np.asarray(file)
    if file.format in _NO_MORE_THAN_16:
        values = values.astype(np.uint16)
    return to_levels(channels_last(values, channels), value_range)


def _deep_png(file: Image.Image, content: bytes, channels: int,
              value_range: ValueRange | None) -> np.ndarray:
    """Colour of 16 bits, of which Pillow keeps 8."""
    # It notices a file that is cut short, which OpenCV fills up.
    file.load()
    values: Any = cv2.imdecode(
        np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    order: Any = [2, 1, 0, 3][:values.shape[-1]] if values.ndim == 3 else ...
    turn = file.getexif().get(ExifTags.Base.Orientation, 1)
    return to_levels(
        upright(
            channels_last(values[..., order], channels, 'YXS'[:values.ndim]),
            turn), value_range)


def _upright(file: Image.Image) -> Image.Image:
    """The decoded image of 8 bits, RGB, turned as its EXIF says."""
    # In place, because Pillow copies what it does not turn.
    ImageOps.exif_transpose(file, in_place=True)
    return _rgb(file)


def _rgb(image: Image.Image) -> Image.Image:
    # Pillow copies what needs no conversion.
    return image if image.mode == 'RGB' else image.convert('RGB')


def why_unreadable(error: Exception, path: str = '') -> str:
    """Why a file could not be read, in a few words without its path.

    Example:
        >>> why_unreadable(FileNotFoundError(2, 'No such file', 'a.jpg'))
        'No such file'
    """
    if isinstance(error, UnidentifiedImageError):
        return 'no image of a known format'
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).replace(path, '') if path else str(error)
    return text.strip() or repr(error)


class EncodedImage:
    """An image file whose size is known and whose pixels are not yet.

    A JPEG is stored from top to bottom: what lies below a crop need not be
    decoded, and a large crop can be decoded at a half, a quarter or an
    eighth of its size. Other formats are decoded as a whole; TIFF and NumPy
    files, and images of other than three channels, at once. Boxes are left,
    top, right, bottom in pixels of the upright image. Arguments as of
    :func:`decode_image`.

    Attributes:
        shape (tuple[int, int]): Height and width in pixels, upright.

    Raises:
        Exception: Whatever Pillow raises if this is no image.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new('RGB', (60, 40)).save(file, 'jpeg')
        >>> image = EncodedImage(file.getvalue())
        >>> image.shape, image.crop((10, 0, 50, 20)).size
        ((40, 60), (40, 20))
    """

    def __init__(self,
                 content: bytes,
                 channels: int = 3,
                 value_range: ValueRange | None = None) -> None:
        self.channels = channels
        self._content = content
        self._value_range = value_range
        self._whole: Image.Image | None = None
        self._frame: Frame | None = None
        if channels != 3 or content[:4] in (*_TIFF, b'\x93NUM'):
            self._pixels = np.asarray(_decoded(content, channels, value_range))
            self.shape = self._pixels.shape[:2]
            if channels == 3:
                self._whole = Image.fromarray(self._pixels)
            return
        self._frame = find_frame(content)
        if self._frame is not None:
            self.shape = self._frame.shape
            # Pillow will only see as many rows as are decoded.
            check_size(self.shape[0] * self.shape[1])
            return
        file = Image.open(io.BytesIO(content))
        width, height = file.size
        turn = file.getexif().get(ExifTags.Base.Orientation, 1)
        self.shape = (width, height) if turn in _ON_ITS_SIDE else (height,
                                                                   width)

    @property
    def plain_jpeg(self) -> bytes:
        """The file if it is a complete baseline JPEG in YCbCr, else b''.

        That is what decoders on a GPU know: not to be turned, three colours,
        and none that Adobe's marker or their names say to be RGB.
        """
        frame, content = self._frame, self._content
        if not (frame and frame.complete and frame.colours == 3):
            return b''
        adobe = content.find(b'Adobe', 0, frame.offset)
        rgb = (content[frame.offset + 5] == ord('R') if adobe < 0
               else content[adobe + 11] == 0)
        return b'' if rgb else content

    def whole(self) -> Image.Image:
        """The image, decoded once and kept; raises as ``decode_image``."""
        if self._whole is None:
            made = _decoded(self._content, 3, self._value_range)
            self._whole = (
                made if isinstance(made, Image.Image) else
                Image.fromarray(np.ascontiguousarray(made)))
        return self._whole

    def bands(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """A part of an image of other than three channels, (h, w, C) uint8."""
        left, top, right, bottom = box
        return self._pixels[top:bottom, left:right]

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        """Decode a part, RGB, with the pixels of the whole image to the bit.

        Raises as :func:`decode_image`, also if the file is cut off below.
        """
        return self.rows_above(box[3])[0].crop(box)

    def pixels(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """As :meth:`crop`, (h, w, 3) uint8, by simplejpeg if installed.

        It is the same libjpeg-turbo, without Pillow's copies: a quarter less
        time.
        """
        frame = self._frame
        # It would fill up a file cut short with grey, and inverts CMYK.
        if (simplejpeg and frame and frame.complete and frame.colours < 4
                and not self._whole):
            left, top, right, bottom = box
            content = frame.shortened(self._content, bottom + _MARGIN)
            return simplejpeg.decode_jpeg(
                content, 'RGB', strict=False)[top:bottom, left:right]
        return np.array(self.crop(box))

    def rows_above(self,
                bottom: int,
                shrink: int = 1) -> tuple[Image.Image, int]:
        """The RGB image, or at least its rows above ``bottom``, and its scale.

        A JPEG is decoded at ``1 / shrink`` of its size, with 1, 2, 4 or 8;
        ``bottom`` is in pixels of the upright image.
        """
        if self._frame is None or self._whole is not None:
            return self.whole(), 1
        file = Image.open(
            io.BytesIO(
                self._frame.shortened(self._content,
                                      bottom + _MARGIN * shrink)))
        if shrink > 1:
            file.draft('RGB', (file.width // shrink, file.height // shrink))
        file.load()
        return _rgb(file), shrink


class Frame(NamedTuple):
    """Height and width in a JPEG's header, colours (1, 3 or 4), the offset of
    the two-byte height in the file, and whether the file's end is there.
    """
    shape: tuple[int, int]
    colours: int
    offset: int
    complete: bool

    def shortened(self, content: bytes, rows: int) -> bytes:
        """The same file claiming at most ``rows`` rows, if it is complete."""
        # A file cut short is decoded to its end, to find that out.
        if rows >= self.shape[0] or not self.complete:
            return content
        start = self.offset
        return b''.join(
            (content[:start], rows.to_bytes(2, 'big'), content[start + 2:]))


def find_frame(content: bytes) -> Frame | None:
    """Read the headers of a JPEG.

    None if it may have to be turned, or is not baseline, such as a
    progressive one, which is stored coarse to fine.
    """
    if content[:2] != b'\xff\xd8':
        return None

    def number(start: int) -> int:
        return int.from_bytes(content[start:start + 2], 'big')

    place, offset = 2, 0
    while content[place:place + 1] == b'\xff':
        marker = content[place + 1:place + 2]
        if marker == b'\xff':  # padding
            place += 1
            continue
        if marker == b'\xe1' and (
                content[place + 4:place + 8] == b'Exif' or b'Orientation'
                in content[place + 4:place + 2 + number(place + 2)]):
            return None
        if marker in (b'\xc0', b'\xc1'):
            # Behind the segment's length and the bits per sample.
            offset = place + 5
        elif marker == b'\xda' and offset:
            # Within the pixels this pair of bytes can only be the end.
            end = content.rfind(b'\xff\xd9')
            return Frame((number(offset), number(offset + 2)),
                         content[offset + 4], offset, end > place)
        place += 2 + number(place + 2)
    return None
