"""Photos in zip archives."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import ClassVar

import pyarrow as pa

from georanker.stores.archive_file import ArchiveFile
from georanker.stores.archive_index import Member
from georanker.stores.archive_store import ArchiveStore
from georanker.stores.base import check_size
from georanker.types import GeorankerError

_LOCAL_HEADER = struct.Struct("<4sHHHHHLLLHH")
_ENCRYPTED = 0x1


class ZipStore(ArchiveStore):
    """Photos in zip archives, such as the `images/test/00.zip`, `01.zip` and so on of OSV-5M, stored or deflated.

    Links are not photos. Each photo is checked against its checksum, and inflated no further than to the size that the
    archive tells.

    Args:
        paths: an archive, or several that together hold the photos.

    Raises:
        GeorankerError: an archive is missing, cut short or not a zip archive, or the index can be written nowhere.
    """

    more_columns: ClassVar[dict[str, pa.DataType]] = {"stored": pa.int64(), "crc": pa.uint32()}

    def _read(self, file: ArchiveFile, member: str, row: int) -> bytes:
        offset, size, stored, crc = (int(self.index().columns[n][row]) for n in ("offset", "size", "stored", "crc"))
        check_size(member, max(size, stored))
        header = _LOCAL_HEADER.unpack(file.read(offset, _LOCAL_HEADER.size))
        magic, flags, method, name_size, extra_size = header[0], header[2], header[3], header[9], header[10]
        if magic != b"PK\3\4":
            raise GeorankerError(f"{member}: damaged; copy or download the archive again")
        if flags & _ENCRYPTED:
            raise GeorankerError(f"{member}: encrypted; unpack it with its password, and zip it again without")
        if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise GeorankerError(f"{member}: compressed by method {method}; zip it again, stored or deflated")
        data = file.read(offset + _LOCAL_HEADER.size + name_size + extra_size, stored)
        if method == zipfile.ZIP_DEFLATED:
            data = _inflated(data, size)
        if len(data) != size or zlib.crc32(data) != crc:
            raise GeorankerError(f"{member}: does not match its checksum; copy or download the archive again")
        return data

    def _members(self, file: ArchiveFile) -> Iterator[Member]:
        try:
            with zipfile.ZipFile(file.path) as archive:
                members = archive.infolist()
        except Exception as error:  # a reader that meets a damaged archive may raise anything
            fault = "not a zip archive, cut short or damaged"
            raise GeorankerError(f"archive {file.path}: {fault}; copy or download it again ({error})") from error
        for info in members:
            if info.header_offset < 0 or info.header_offset + _LOCAL_HEADER.size + info.compress_size > file.size:
                raise GeorankerError(f"archive {file.path}: cut short; copy or download it again")
            if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
                name = info.filename.encode("utf-8", "surrogateescape")
                yield name, info.header_offset, info.file_size, info.compress_size, info.CRC


def _inflated(data: bytes, size: int) -> bytes:
    """Return what deflated bytes hold, but no more than one byte above `size`; nothing if they are damaged."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = inflater.decompress(data, size + 1)
    except zlib.error:
        return b""
    return found if inflater.eof else b""
