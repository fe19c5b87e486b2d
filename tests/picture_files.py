"""Uncompressed TIFF and PNG files of known samples, of every depth, written byte by byte."""

import struct
import zlib

import numpy as np


def packed(values, bits, order, kind):
    """Rows of samples as a file stores them; kind 1 is unsigned, 2 signed and 3 floating point."""
    rows = values.reshape(len(values), -1)
    if kind == 3:
        return rows.astype(f"{order}f{bits // 8}").tobytes()
    if bits in (8, 16, 32):
        return rows.astype(np.int64).astype(f"{order}u{bits // 8}").tobytes()
    places = (rows.astype(np.int64)[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(places.astype(np.uint8).reshape(len(rows), -1), axis=1).tobytes()


def tiff(
    values, bits, photometric, *, planes=False, order="<", kind=1, extra=(), palette=(), turn=1
):
    """The bytes of an uncompressed TIFF of samples (height, width, samples), turned as in EXIF."""
    height, width, samples = values.shape
    parts = np.split(values, samples, axis=2) if planes else [values]
    body, offsets, lengths = b"", [], []
    for part in (packed(part, bits, order, kind) for part in parts):
        offsets.append(8 + len(body))
        lengths.append(len(part))
        body += part + bytes(len(part) % 2)
    short, long = "H", "I"
    entries = [
        (256, short, [width]), (257, short, [height]), (258, short, [bits] * samples),
        (259, short, [1]), (262, short, [photometric]), (273, long, offsets), (274, short, [turn]),
        (277, short, [samples]), (278, short, [height]), (279, long, lengths),
        (284, short, [2 if planes else 1]), (320, short, list(palette)),
        (338, short, list(extra)), (339, short, [kind] * samples),
    ]  # fmt: skip
    start = 8 + len(body)
    table, tail = [], b""
    for tag, code, numbers in entries:
        if not numbers:
            continue
        data = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(data) > 4:
            place = start + len(tail)
            tail += data + bytes(len(data) % 2)
            data = struct.pack(f"{order}I", place)
        kind_of_number = 3 if code == short else 4
        table.append(
            struct.pack(f"{order}HHI", tag, kind_of_number, len(numbers)) + data.ljust(4, b"\0")
        )
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, start + len(tail))
    count = struct.pack(f"{order}H", len(table))
    return head + body + tail + count + b"".join(table) + bytes(4)


def png(header, *chunks):
    """The bytes of a PNG: the fields of its header, then chunks (name, body)."""

    def chunk(name, body):
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    every = [(b"IHDR", struct.pack(">IIBBBBB", *header)), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in every)


def png_of(values, bits, color, *, palette=None, transparent=None):
    """The bytes of a PNG of samples (height, width, samples), of a depth and a color type."""
    height, width, _ = values.shape
    rows = np.frombuffer(packed(values, bits, ">", 1), np.uint8).reshape(height, -1)
    chunks = []
    if palette is not None:
        chunks.append((b"PLTE", np.asarray(palette, np.uint8).tobytes()))
    if transparent is not None:
        code = "B" if color == 3 else "H"
        chunks.append((b"tRNS", struct.pack(f">{len(transparent)}{code}", *transparent)))
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = (width, height, bits, color, 0, 0, 0)
    return png(header, *chunks, (b"IDAT", zlib.compress(data)))
