"""Gzip, as records keep their tables: the same bytes every day, and read no further than they say."""

from __future__ import annotations

import zlib

# What a file may hold. Tables of millions of steps are smaller; what claims more isn't unpacked.
LARGEST = 2**30

_GZIP = 16 + zlib.MAX_WBITS  # one gzip member, in zlib's words
_SHORTEST = 18  # bytes: header and trailer


def packed(content: bytes) -> bytes:
    """Return ``content`` as a gzip file (RFC 1952) without a name or a time in it.

    The same content gives the same bytes wherever zlib is of the same make.

    Raises:
        ValueError: ``content`` has more than ``LARGEST`` bytes.
    """
    if len(content) > LARGEST:
        raise ValueError(f"a file of {len(content)} bytes; allowed: at most {LARGEST}")
    return zlib.compress(content, level=9, wbits=_GZIP)


def unpacked(content: bytes) -> bytes:
    """Return what a gzip file holds, whoever made it.

    No more is unpacked than its last four bytes say there is, so that a small file can't fill the memory.

    Raises:
        ValueError: it is cut short, altered or no gzip file, goes on after its end, or says that it holds
            more than ``LARGEST`` bytes.
    """
    if len(content) < _SHORTEST:
        raise ValueError(f"{len(content)} bytes are no gzip file")
    size = int.from_bytes(content[-4:], "little")
    if size > LARGEST:
        raise ValueError(f"it says that it holds {size} bytes; allowed: at most {LARGEST}")
    reader = zlib.decompressobj(wbits=_GZIP)
    try:
        # One byte more than there should be, so that zlib gets to the end and checks it.
        found = reader.decompress(content, size + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not reader.eof:
        raise ValueError("it is cut short, or holds more than it says")
    if reader.unused_data:
        raise ValueError(f"{len(reader.unused_data)} bytes follow its end")
    return found
