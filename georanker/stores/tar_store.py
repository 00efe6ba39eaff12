"""Photos in a tar archive."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import ClassVar

import pyarrow as pa

from georanker.stores.archive_file import ArchiveFile
from georanker.stores.archive_index import Member
from georanker.stores.archive_store import ArchiveStore
from georanker.stores.base import check_size
from georanker.types import GeorankerError

_BLOCK = 512
_MOST_HEADER_BYTES = 1 << 20  # no path is that long
_END = 2 * _BLOCK
_PADDING = 10_240  # what tar fills an archive up to a multiple of, unless it is told another number
_MOST_PADDING = 1 << 20
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}


class TarStore(ArchiveStore):
    """Photos in plain tar archives, such as `mp-16-images.tar`.

    An archive that came in parts is joined with `cat` first. Long names of GNU tar and of pax are read. Links, devices,
    folders and sparse files are not photos. Of two members of one name the later one counts, as it does for tar itself.

    Args:
        paths: an archive, or several that together hold the photos.

    Raises:
        GeorankerError: an archive is missing, cut short, compressed or not a tar archive, or the index can be written
            nowhere.
    """

    more_columns: ClassVar[dict[str, pa.DataType]] = {}

    def _read(self, file: ArchiveFile, member: str, row: int) -> bytes:
        size = int(self.index().columns["size"][row])
        check_size(member, size)
        return file.read(int(self.index().columns["offset"][row]), size)

    def _members(self, file: ArchiveFile) -> Iterator[Member]:
        position = 0
        everywhere: dict[bytes, bytes] = {}  # what pax says of all members that follow
        here: dict[bytes, bytes] = {}  # what pax or GNU tar say of the next one
        last = -1  # where the last byte of the last member with bytes lies
        while any(header := _part(file, position, _BLOCK)):
            start, position = position, position + _BLOCK
            try:
                info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
                if info.type in _EXTENSIONS:
                    extension = _part(file, position, info.size)
                    position += _padded(info.size)
                    if info.type == tarfile.XGLTYPE:
                        everywhere |= _records(extension)
                    elif info.type == tarfile.GNUTYPE_LONGNAME:
                        here[b"path"] = extension.partition(b"\0")[0]
                    elif info.type != tarfile.GNUTYPE_LONGLINK:
                        here |= _records(extension)
                    continue
                told = everywhere | here
                size = int(told.get(b"size", info.size))
                if size < 0:
                    raise ValueError("a negative size")
            except (tarfile.HeaderError, ValueError) as error:
                raise _damaged(file, start, header) from error
            sparse = info.type == tarfile.GNUTYPE_SPARSE
            if sparse:
                position = _after_sparse_map(file, header, position)
            # As tar does: links, folders and devices have no bytes, whatever size they tell; unknown kinds have.
            end = position + (_padded(size) if info.isreg() or info.type not in tarfile.SUPPORTED_TYPES else 0)
            if end > file.size:
                raise _cut_short(file)
            if info.isreg() and not sparse and not any(name.startswith(b"GNU.sparse") for name in told):
                name = info.name.encode("utf-8", "surrogateescape")
                yield told.get(b"path", name).rstrip(b"/"), position, size
                last = position + size - 1 if size else last
            position, here = end, {}
        for at in range(position, file.size, _MOST_HEADER_BYTES):
            if file.read(at, min(_MOST_HEADER_BYTES, file.size - at)).strip(b"\0"):
                raise GeorankerError(
                    f"archive {file.path}: goes on behind its end at byte {position:,}, since it has a hole or whole "
                    "archives were joined; copy it again, or join archives with tar --concatenate"
                )
        # A download that is given its whole size first, and then stops, ends with zeros too: with more than tar writes.
        zeros = file.size - position - _END
        if zeros > _MOST_PADDING or (zeros > _PADDING and last >= 0 and file.read(last, 1) == b"\0"):
            raise _cut_short(file, f": from byte {position:,} on there are only zeros")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _part(file: ArchiveFile, position: int, size: int) -> bytes:
    """Return a header; a whole archive ends with one of zeros."""
    if not 0 <= size <= _MOST_HEADER_BYTES:
        raise ValueError("a header without an end")
    if position + size > file.size:
        raise _cut_short(file)
    return file.read(position, size)


def _records(extension: bytes) -> dict[bytes, bytes]:
    """Return the records of a pax header, each written as its length, a space, name=value and a line's end."""
    found = {}
    while extension.strip(b"\0"):
        head, _, _ = extension.partition(b" ")
        length = int(head)
        name, equals, value = extension[len(head) + 1 : length - 1].partition(b"=")
        if length <= len(head) or not equals or extension[length - 1 : length] != b"\n":
            raise ValueError("a record of pax that cannot be read")
        found[name] = value
        extension = extension[length:]
    return found


def _after_sparse_map(file: ArchiveFile, header: bytes, position: int) -> int:
    """Return where the bytes of a sparse file of GNU tar begin: its map may go on in further blocks."""
    more = header[482]
    while more:
        more = _part(file, position, _BLOCK)[504]
        position += _BLOCK
    return position


def _cut_short(file: ArchiveFile, where: str = "") -> GeorankerError:
    where = where or f" at byte {file.size:,}"
    return GeorankerError(
        f"archive {file.path}: cut short{where}; copy or download it again, or join its parts with `cat`"
    )


def _damaged(file: ArchiveFile, position: int, header: bytes) -> GeorankerError:
    if position:
        return GeorankerError(f"archive {file.path}: damaged at byte {position:,}; copy or download it again")
    for magic, tool in _COMPRESSED.items():
        if header.startswith(magic):
            return GeorankerError(
                f"archive {file.path}: compressed, so that its photos cannot be found by position; `{tool}` it first"
            )
    return GeorankerError(f"archive {file.path}: not a tar archive")
