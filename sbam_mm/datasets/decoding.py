# Copyright (c) OpenMMLab. All rights reserved.
"""Image files to pixels: all of them, or those of a crop."""
import io
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

# EXIF orientations that exchange height and width.
_ON_ITS_SIDE = (5, 6, 7, 8)
# Chroma is interpolated between rows, so the last rows before a cut differ.
_MARGIN = 16


def decode_image(content: bytes) -> np.ndarray:
    """Decode an image file completely, or raise.

    OpenCV returns a truncated JPEG as a half-grey picture and prints a
    warning that nobody reads; Pillow raises. Pillow in turn clips 16-bit grey
    to white, so such images are scaled here.

    Args:
        content (bytes): The bytes of a file in any format Pillow reads; grey,
            palette, CMYK, RGBA and 16-bit images are converted.

    Returns:
        np.ndarray: (H, W, 3) uint8 in mmcv's channel order, which is BGR, the
        EXIF orientation applied. Alpha is dropped.

    Raises:
        Exception: Whatever Pillow raises for a broken file; mostly
            ``OSError``, also ``SyntaxError`` (PNG), ``ValueError`` and others.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new('L', (4, 2), 7).save(file, 'png')
        >>> decode_image(file.getvalue()).shape
        (2, 4, 3)
    """
    with Image.open(io.BytesIO(content)) as file:
        return np.asarray(_upright(file))[..., ::-1]


def _upright(file: Image.Image) -> Image.Image:
    """The decoded image, RGB, turned as its EXIF says."""
    # In place, because Pillow copies what it does not turn.
    ImageOps.exif_transpose(file, in_place=True)
    if file.mode.startswith('I'):
        grey = np.clip(np.asarray(file), 0, 65535) // 257
        file = Image.fromarray(grey.astype(np.uint8))
    return _rgb(file)


def _rgb(image: Image.Image) -> Image.Image:
    # Pillow copies what needs no conversion.
    return image if image.mode == 'RGB' else image.convert('RGB')


class EncodedImage:
    """An image file whose size is known and whose pixels are not yet.

    A JPEG is stored from top to bottom: what lies below a crop need not be
    decoded, and a large crop can be decoded at a half, a quarter or an
    eighth of its size. Other formats are decoded as a whole.

    Args:
        content (bytes): The bytes of the file.

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

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._whole: Image.Image | None = None
        self._frame = find_frame(content)
        if self._frame is not None:
            self.shape = self._frame.shape
            return
        file = Image.open(io.BytesIO(content))
        width, height = file.size
        turn = file.getexif().get(ExifTags.Base.Orientation, 1)
        self.shape = (width, height) if turn in _ON_ITS_SIDE else (height,
                                                                   width)

    def whole(self) -> Image.Image:
        """The image, decoded once and kept; raises as ``decode_image``."""
        if self._whole is None:
            self._whole = _upright(Image.open(io.BytesIO(self._content)))
        return self._whole

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        """Decode a part.

        Args:
            box (tuple[int, int, int, int]): Left, top, right, bottom in
                pixels of the upright image.

        Returns:
            PIL.Image.Image: RGB; the same pixels, to the bit, as those of the
            whole image.

        Raises:
            Exception: As :func:`decode_image`, also if the file is cut off
                below the crop.
        """
        return self.down_to(box[3])[0].crop(box)

    def pixels(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """As :meth:`crop`, decoded by simplejpeg where it is installed.

        It is the same libjpeg-turbo, without Pillow's copies: a quarter less
        time.

        Args:
            box (tuple[int, int, int, int]): Left, top, right, bottom in
                pixels of the upright image.

        Returns:
            np.ndarray: (bottom - top, right - left, 3) uint8, RGB.
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

    def down_to(self,
                bottom: int,
                shrink: int = 1) -> tuple[Image.Image, int]:
        """Decode the image, or at least its rows above ``bottom``.

        Args:
            bottom (int): In pixels of the upright image.
            shrink (int): 1, 2, 4 or 8: at which fraction of its size a JPEG
                is decoded. Defaults to 1.

        Returns:
            tuple: The RGB image, and at which fraction it is.
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
    """Where a baseline JPEG says how large it is.

    Attributes:
        shape (tuple[int, int]): Height and width.
        colours (int): 1, 3 or 4.
        offset (int): Of the height, two bytes, in the file.
        complete (bool): Whether the file's end is there.
    """
    shape: tuple[int, int]
    colours: int
    offset: int
    complete: bool

    def shortened(self, content: bytes, rows: int) -> bytes:
        """The same file claiming to have fewer rows, if it is complete.

        Args:
            content (bytes): The file.
            rows (int): As many at the most.
        """
        # A file cut short is decoded to its end, to find that out.
        if rows >= self.shape[0] or not self.complete:
            return content
        start = self.offset
        return b''.join(
            (content[:start], rows.to_bytes(2, 'big'), content[start + 2:]))


def find_frame(content: bytes) -> Frame | None:
    """Read the headers of a JPEG.

    Args:
        content (bytes): The file.

    Returns:
        Frame or None: None if it may have to be turned, and if it is not
        baseline, such as a progressive one, which is stored coarse to fine.

    Example:
        >>> find_frame(b'no JPEG') is None
        True
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
