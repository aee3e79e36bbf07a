"""Real images of every kind, for the integration tests and the benchmarks.

    python3 tests/images.py DIR COUNT      fills DIR with COUNT small images under awkward names

The same arguments always give the same bytes; another seed gives other bytes. Needs only Debian's python3-pil.
"""

from __future__ import annotations

import base64
import os
import random
import struct
import sys
import zlib
from collections.abc import Callable
from io import BytesIO

from PIL import Image

KINDS = ("jpeg", "png", "gif", "webp", "avif", "bmp", "tiff", "ico", "svg")

ENDINGS = {
    "jpeg": ("jpg", "jpeg", "JPG", "JPEG"),
    "png": ("png", "PNG"),
    "gif": ("gif", "GIF"),
    "webp": ("webp", "WEBP"),
    "avif": ("avif", "Avif"),
    "bmp": ("bmp", "BMP"),
    "tiff": ("tif", "tiff", "TIF"),
    "ico": ("ico", "ICO"),
    "svg": ("svg", "SVG"),
}

MIMES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "ico": "image/vnd.microsoft.icon",
    "svg": "image/svg+xml",
}

SAVE_OPTIONS: dict[str, dict] = {
    "jpeg": {"quality": 85},
    "png": {"compress_level": 1},
    "webp": {"quality": 70, "method": 0},
}

# Debian 12's Pillow does not write AVIF. A gradient of 64 x 48 pixels, by avifenc of libavif-bin.
AVIF = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADybWV0YQAAAAAAAAAoaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA"
    "AGxpYmF2aWYAAAAADnBpdG0AAAAAAAEAAAAeaWxvYwAAAABEAAABAAEAAAABAAABGgAAAFQAAAAoaWluZgAAAAAAAQAAABppbmZl"
    "AgAAAAABAABhdjAxQ29sb3IAAAAAamlwcnAAAABLaXBjbwAAABRpc3BlAAAAAAAAAEAAAAAwAAAAEHBpeGkAAAAAAwgICAAAAAxh"
    "djFDgSAAAAAAABNjb2xybmNseAABAA0ABoAAAAAXaXBtYQAAAAAAAAABAAEEAQKDBAAAAFxtZGF0EgAKCTgVf72UBDQaQDJFGgAI"
    "IEIEAMuoJMX4sP/EyE9NtUdhoJeGswBlPfJs8d+xslzfFYsJ8LwP25yqIszZ4X28fDAU17U84nzBmqXt1uCNOoJA"
)


def _random(*seed: object) -> random.Random:
    return random.Random(repr(seed))


def make(kind: str, seed: object, width: int = 64, height: int = 48) -> bytes:
    """An image as a photo would be: soft colours that depend on the seed.

    An AVIF is always 64 x 48, and an ICO at most 256 x 256.
    """
    rng = _random("make", kind, seed)
    if kind == "avif":
        return AVIF + _box(b"free", rng.randbytes(16))
    if kind == "svg":
        return _svg(rng, width, height)
    # Few random pixels stretched to many: quick to make, and the file is neither empty nor pure noise.
    picture = Image.frombytes("RGB", (8, 8), rng.randbytes(8 * 8 * 3)).resize((width, height), Image.BILINEAR)
    options = SAVE_OPTIONS.get(kind, {})
    if kind == "ico":
        options = {"sizes": [(min(width, 256), min(height, 256))]}
    out = BytesIO()
    picture.save(out, kind.upper(), **options)
    return out.getvalue()


def _svg(rng: random.Random, width: int, height: int) -> bytes:
    circles = "".join(
        f'<circle cx="{rng.randrange(width)}" cy="{rng.randrange(height)}" r="{rng.randint(1, 9)}"'
        f' fill="#{rng.randrange(1 << 24):06x}"/>\n'
        for _ in range(5)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg"'
        f' width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n{circles}</svg>\n'
    ).encode()


def sized(kind: str, nbytes: int, seed: object) -> bytes:
    """A valid image file of exactly nbytes, made long by bytes that do not compress.

    They stand where the format lets a program put what others skip. ValueError if nbytes is too small.
    """
    for width, height in ((64, 48), (16, 16), (4, 4), (1, 1)):
        image = make(kind, seed, width, height)
        missing = nbytes - len(image)
        if missing >= LEAST_PADDING.get(kind, 0):
            return PADDERS[kind](image, missing, _random("sized", kind, seed))
        if missing == 0:
            return image
    raise ValueError(f"no {kind} of {nbytes} bytes")


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _pad_jpeg(image: bytes, missing: int, rng: random.Random) -> bytes:
    """Comments behind the APP0 segment, and up to three of the FF bytes that may precede any marker."""
    at = 4 + int.from_bytes(image[4:6], "big")
    parts = [image[:at]]
    while missing >= 4:
        data = min(missing - 4, 65533)
        parts += [b"\xff\xfe", (data + 2).to_bytes(2, "big"), rng.randbytes(data)]
        missing -= 4 + data
    return b"".join(parts + [b"\xff" * missing, image[at:]])


def _pad_png(image: bytes, missing: int, rng: random.Random) -> bytes:
    """A private, ancillary chunk behind IHDR, whose 25 bytes follow the 8 of the signature."""
    chunk = b"raNd" + rng.randbytes(missing - 12)
    framed = struct.pack(">I", missing - 12) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return image[:33] + framed + image[33:]


def _pad_gif(image: bytes, missing: int, rng: random.Random) -> bytes:
    """A comment extension of sub-blocks before the last byte, the trailer."""
    left = missing - 3
    parts = [image[:-1], b"\x21\xfe"]
    while left:
        # A block is its length and at least one byte: never leave a single byte for the last one.
        block = 255 if left == 257 else min(left, 256)
        parts += [bytes([block - 1]), rng.randbytes(block - 1)]
        left -= block
    return b"".join(parts + [b"\0", image[-1:]])


def _pad_webp(image: bytes, missing: int, rng: random.Random) -> bytes:
    """A chunk of its own; an odd byte stands behind the RIFF, which is always even."""
    data = (missing - 8) & ~1
    riff = image[12:] + struct.pack("<4sI", b"raNd", data) + rng.randbytes(data)
    return b"RIFF" + struct.pack("<I", 4 + len(riff)) + b"WEBP" + riff + b"\0" * (missing & 1)


def _pad_avif(image: bytes, missing: int, rng: random.Random) -> bytes:
    """A longer box in the place of the one that make() adds."""
    return AVIF + _box(b"free", rng.randbytes(len(image) + missing - len(AVIF) - 8))


def _pad_bmp(image: bytes, missing: int, rng: random.Random) -> bytes:
    """Between headers and pixels: the file header says where those begin."""
    (at,) = struct.unpack_from("<I", image, 10)
    header = struct.pack("<2sIII", b"BM", len(image) + missing, 0, at + missing)
    return header + image[14:at] + rng.randbytes(missing) + image[at:]


def _pad_at_end(image: bytes, missing: int, rng: random.Random) -> bytes:
    """Nothing in a TIFF or an ICO points to these bytes."""
    return image + rng.randbytes(missing)


def _pad_svg(image: bytes, missing: int, rng: random.Random) -> bytes:
    """Base64 never holds the two dashes that would end a comment."""
    text = base64.b64encode(rng.randbytes(missing))[: missing - 7]
    return image + b"<!--" + text + b"-->"


PADDERS: dict[str, Callable[[bytes, int, random.Random], bytes]] = {
    "jpeg": _pad_jpeg,
    "png": _pad_png,
    "gif": _pad_gif,
    "webp": _pad_webp,
    "avif": _pad_avif,
    "bmp": _pad_bmp,
    "tiff": _pad_at_end,
    "ico": _pad_at_end,
    "svg": _pad_svg,
}

# The smallest padding that can be made; all above it can be too.
LEAST_PADDING = {"png": 12, "gif": 5, "webp": 8, "svg": 7}

FOLDERS = (
    "",
    "avatars/7",
    "products/2026/11/21",
    "with space/it's \"quoted\"",
    "per%2Fcent/new\nline",
    "-dash/back\\slash",
    "e\u0301te\u0301/\u05ea\u05de\u05d5\u05e0\u05d5\u05ea",
    "a/b/c/d/e/f/g/h",
)

# As many as share no factor with the number of kinds, so that in time each name meets each kind.
STEMS = (
    "plain{n}",
    "two words {n}",
    "it's {n}",
    'the "best" {n}',
    "new\nline {n}",
    "tab\t{n}",
    "back\\slash\\{n}",
    "100%25 %s %00 {n}",
    "-rf {n}",
    "cafe\u0301 {n}",
    "\u05ea\u05de\u05d5\u05e0\u05d4 \u0635\u0648\u0631\u0629 {n}",
    "\u5199\u771f \U0001f600 {n}",
    "$(id) `id` ; & | {n}",
    "?v=1&w=2#top+{n}",
    "* [a-z] {{x,y}} {n}",
    "many.dots..{n}",
    " spaces around {n} ",
    "comma, {n}",
    "long {n} ",
)

NAME_MAX = 255


def _name(number: int, ending: str) -> str:
    stem = STEMS[number % len(STEMS)].format(n=number)
    if stem.startswith("long"):
        stem = stem.ljust(NAME_MAX - len(ending) - 1, "x")
    return f"{stem}.{ending}"


def tree(root: str | os.PathLike[str], count: int, seed: object = 1) -> list[str]:
    """Writes `count` small images of all kinds into folders beneath root, each with a name that some program gets wrong
    and an mtime of the last years to the nanosecond. Returns their paths relative to root, in the order of writing."""
    rng = _random("tree", seed)
    root = os.fspath(root)
    paths = []
    for folder in FOLDERS:
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        path = os.path.join(rng.choice(FOLDERS), _name(number, rng.choice(ENDINGS[kind])))
        full = os.path.join(root, path)
        with open(full, "wb") as out:
            out.write(make(kind, (seed, number), 32, 24))
        mtime_ns = rng.randrange(1_600_000_000, 1_750_000_000) * 10**9 + rng.randrange(10**9)
        os.utime(full, ns=(mtime_ns, mtime_ns))
        paths.append(path)
    return paths


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[2].isdigit():
        sys.exit("usage: images.py DIR COUNT")
    print(len(tree(sys.argv[1], int(sys.argv[2]))), "images written")
