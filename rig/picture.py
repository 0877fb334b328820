"""What a browser's picture of a page holds: the colours in it, and the same in far fewer bytes.

The browser itself takes its PNG apart, in a page's thread, in milliseconds: no picture is loaded for that, so the
page's policy is not asked.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from typing import NamedTuple

from .browser import Page

MAX_COLOURS = 256  # of a PNG with a palette
_DECODED = """
    const bytes = Uint8Array.from(atob(arguments[0]), each => each.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], {type: 'image/png'}));
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    context.drawImage(bitmap, 0, 0);
"""
_COUNTED = """
    const counts = new Map();
    for (let at = 0; at < data.length; at += 4) {
        const colour = data[at] << 16 | data[at + 1] << 8 | data[at + 2];
        counts.set(colour, (counts.get(colour) || 0) + 1);
    }
"""
_COLOURS = f"""
    return (async () => {{
        {_DECODED}
        const {{x, y, width, height}} = document.querySelector(arguments[1]).getBoundingClientRect();
        const area = [x, y, width, height].map(each => Math.round(each * devicePixelRatio));
        const data = context.getImageData(...area).data;
        {_COUNTED}
        return [...counts];
    }})();
"""
# The most frequent colours stay as they are; each other becomes the one that is nearest to it.
_INDEXED = f"""
    return (async () => {{
        {_DECODED}
        const data = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
        {_COUNTED}
        const palette = [...counts].sort((one, other) => other[1] - one[1]).map(each => each[0]).slice(0, arguments[1]);
        const places = new Map(palette.map((colour, place) => [colour, place]));
        const apart = (one, other) => [16, 8, 0].reduce(
            (sum, shift) => sum + ((one >> shift & 255) - (other >> shift & 255)) ** 2, 0);
        for (const colour of counts.keys()) {{
            if (places.has(colour)) continue;
            let best = 0;
            for (let place = 1; place < palette.length; place++)
                if (apart(palette[place], colour) < apart(palette[best], colour)) best = place;
            places.set(colour, best);
        }}
        const rows = [];
        for (let top = 0; top < bitmap.height; top++) {{
            let row = '';
            for (let at = top * bitmap.width * 4; at < (top + 1) * bitmap.width * 4; at += 4)
                row += String.fromCharCode(places.get(data[at] << 16 | data[at + 1] << 8 | data[at + 2]));
            rows.push(btoa(row));
        }}
        return [bitmap.width, bitmap.height, palette, rows];
    }})();
"""


class Colour(NamedTuple):
    """Of sRGB, each part from 0 to 255."""

    red: int
    green: int
    blue: int

    @classmethod
    def of(cls, css: str) -> Colour:
        """As a browser writes one that hides what is behind it.

        :raises ValueError: it does not.
        """
        matched = re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", css)
        if matched is None:
            raise ValueError(f"not a colour, or one that is seen through: {css}")
        return cls(*(int(part) for part in matched.groups()))

    @property
    def luminance(self) -> float:
        """From 0 for black to 1 for white: WCAG 2.2, "relative luminance"."""
        parts = [part / 255 for part in self]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    """From 1 to 21: WCAG 2.2, "contrast ratio"."""
    light, dark = sorted((one.luminance, other.luminance), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def colours(page: Page, selector: str) -> dict[Colour, float]:
    """What share of the first element that is selected has which colour, as it is seen now."""
    counted = page.script(_COLOURS, base64.b64encode(page.picture()).decode(), selector)
    total = sum(count for _, count in counted)
    return {_colour(number): count / total for number, count in counted}


def small(page: Page) -> bytes:
    """What is seen, as a PNG with a palette."""
    width, height, palette, rows = page.script(_INDEXED, base64.b64encode(page.picture()).decode(), MAX_COLOURS)
    lines = b"".join(b"\0" + base64.b64decode(row) for row in rows)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(bytes(_colour(number)) for number in palette)),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _colour(number: int) -> Colour:
    return Colour(*number.to_bytes(3, "big"))
