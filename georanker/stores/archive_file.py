"""A file that is read by position and must stay as it is."""

from __future__ import annotations

import os
from pathlib import Path

from georanker.types import GeorankerError

Stamp = tuple[int, int]


class ArchiveFile:
    """An archive, opened once in each process and read by position.

    A read by position (`os.pread`) moves nothing that processes or threads share, so that a forked worker could even go
    on with its parent's open file; it opens its own all the same, as a spawned worker does, because the system reads
    ahead for each open file.

    Args:
        path: the archive.
        stamp: its size in bytes and the time of its last change in nanoseconds, where they are known: then it must not
            have changed since.

    Raises:
        GeorankerError: the archive is not there, or is not a file.
    """

    def __init__(self, path: Path, stamp: Stamp | None = None) -> None:
        self.path = path
        self._opened: tuple[int, _Descriptor] | None = None
        if stamp is None:
            try:
                found = path.stat()
            except OSError as error:
                raise GeorankerError(f"archive {path}: cannot be read ({error.strerror})") from error
            if not path.is_file():
                raise GeorankerError(f"archive {path}: not a file")
            stamp = found.st_size, found.st_mtime_ns
        self.stamp = stamp

    def __reduce__(self) -> tuple[type, tuple[Path, Stamp]]:
        return type(self), (self.path, self.stamp)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stamp[0]

    def read(self, position: int, size: int) -> bytes:
        """Return `size` bytes from `position` on.

        Raises:
            GeorankerError: the file ends before, or cannot be read.
        """
        parts = []
        try:
            descriptor = self._descriptor()
            while size > 0 and (part := os.pread(descriptor.number, size, position)):
                parts.append(part)
                position, size = position + len(part), size - len(part)
        except OSError as error:
            raise GeorankerError(f"archive {self.path}: cannot be read ({error.strerror})") from error
        if size > 0:
            self.check()
            raise GeorankerError(f"archive {self.path}: cut short at byte {self.size:,}; copy or download it again")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def check(self) -> None:
        """Raise GeorankerError if the archive is not what it was when this object was made."""
        try:
            descriptor = self._descriptor()  # held, or another thread might close it
            found = os.fstat(descriptor.number)
        except OSError as error:
            raise GeorankerError(f"archive {self.path}: cannot be read ({error.strerror})") from error
        if (found.st_size, found.st_mtime_ns) != self.stamp:
            raise GeorankerError(f"archive {self.path}: changed while it was open; start again")

    def _descriptor(self) -> _Descriptor:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), _Descriptor(self.path)
        return self._opened[1]


class _Descriptor:
    """The number of an open file, which is closed with this object: not before a thread that uses it is done."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)
