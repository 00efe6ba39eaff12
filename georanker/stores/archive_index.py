"""Where each member of some archives lies: a parquet file beside the first of them."""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from georanker.files import file_beside
from georanker.stores.archive_file import ArchiveFile
from georanker.stores.names import Names, spelling_key
from georanker.types import GeorankerError

if TYPE_CHECKING:
    from rich.console import Console

FORMAT_VERSION = 2
_METADATA = b"georanker.archive_index"
_ROWS_A_CHUNK = 1 << 16
_DAY_SECONDS = 24 * 60 * 60
_FIRST = {"name": pa.large_binary(), "archive": pa.int16(), "offset": pa.int64(), "size": pa.int64()}

Member = tuple[bytes, int, int, *tuple[int, ...]]
"""Name, offset, size, and what else a kind of archive needs."""
Members = Callable[[ArchiveFile], Iterator[Member]]


class ArchiveIndex:
    """The members of some archives as columns, sorted by the `spelling_key` of their names.

    Args:
        table: name, archive (a number), offset, size, and what else a kind of archive needs.
    """

    def __init__(self, table: pa.Table) -> None:
        table = table.combine_chunks()
        self.names = Names(_column(table, "name"))
        self.columns: dict[str, np.ndarray] = {
            name: _column(table, name).to_numpy() for name in table.column_names if name != "name"
        }
        pa.default_memory_pool().release_unused()  # what the file was unpacked with

    @property
    def nbytes(self) -> int:
        """The memory that the index takes."""
        return self.names.nbytes + sum(column.nbytes for column in self.columns.values())

    @functools.cached_property
    def photos(self) -> np.ndarray:
        """The rows of photos, in the order in which they lie in the archives, which reads fastest."""
        rows = self.names.photos
        order: np.ndarray = rows[np.lexsort((self.columns["offset"][rows], self.columns["archive"][rows]))]
        return order

    @classmethod
    def of(cls, files: Sequence[ArchiveFile], members: Members, more: dict[str, pa.DataType]) -> ArchiveIndex:
        """Read the index of some archives, or make it where there is none that fits.

        It lies beside the first archive, or in the user's cache where nothing can be written there. An archive that has
        another size or time than when it was indexed is indexed again. Processes that start at once may each make the
        index; each writes it whole.

        Args:
            files: the archives.
            members: lists the members of an archive: name, offset and size, then `more`.
            more: further columns.

        Raises:
            GeorankerError: an archive cannot be read or changes meanwhile, or the index can be written nowhere.
        """
        schema = pa.schema({**_FIRST, **more}, {_METADATA: json.dumps(_head(files)).encode()})
        places = _places(files)
        for place in places:
            table = _read(place, schema, files)
            if table is not None:
                return cls(table)
        for file in files:
            file.check()
        from rich.console import Console

        console = Console(stderr=True)
        if any(os.path.exists(place) for place in places):
            told = f"{files[0].path}: changed since it was indexed, so it is indexed again"
            console.print(told, soft_wrap=True, highlight=False, markup=False)
        table = _made(files, members, schema, console)
        _write(table, places)
        return cls(table)


def _head(files: Sequence[ArchiveFile]) -> dict[str, object]:
    return {"version": FORMAT_VERSION, "archives": [[file.path.name, *file.stamp] for file in files]}


def _places(files: Sequence[ArchiveFile]) -> list[Path]:
    """Return where an index may lie; one of several archives has a name of its own."""
    first = files[0].path
    others = "".join(f"\n{file.path.name}" for file in files[1:])
    name = f"{first.name}-{_hash(others)}" if others else first.name
    beside = first.with_name(f"{name}.index.parquet")
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "georanker"
    except RuntimeError:  # the user has no home, as in some containers
        return [beside]
    return [beside, cache / f"{_hash(str(first.absolute()) + others)}.index.parquet"]


def _hash(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]


def _read(place: Path, schema: pa.Schema, files: Sequence[ArchiveFile]) -> pa.Table | None:
    """Return an index that is whole and of these archives as they are now, if it is there."""
    try:
        with pq.ParquetFile(place) as file:
            found = file.schema_arrow
            if not found.equals(schema) or found.metadata[_METADATA] != schema.metadata[_METADATA]:
                return None
            table = file.read()
    except (OSError, KeyError, TypeError, pa.ArrowException):
        return None
    sizes = np.array([file.size for file in files])
    return table if _lies_within(table, sizes) else None


def _lies_within(table: pa.Table, sizes: np.ndarray) -> bool:
    if any(column.null_count for column in table.columns):
        return False
    archive, offset, size = (table[name].to_numpy() for name in ("archive", "offset", "size"))
    if not ((archive >= 0) & (archive < len(sizes)) & (offset >= 0) & (size >= 0)).all():
        return False
    return bool((offset <= sizes[archive]).all())


def _made(files: Sequence[ArchiveFile], members: Members, schema: pa.Schema, console: Console) -> pa.Table:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    keyed = pa.schema([("key", pa.large_binary()), *schema])
    chunks, rows = [keyed.empty_table()], list[tuple[bytes | int, ...]]()

    def flush() -> None:
        columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), keyed, strict=True)]
        chunks.append(pa.Table.from_arrays(columns, schema=keyed))
        rows.clear()

    looks = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*looks, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"Indexing {files[0].path.name}", total=sum(file.size for file in files))
        read = 0
        for number, file in enumerate(files):
            for name, offset, size, *more in members(file):
                name = name.removeprefix(b"./")
                rows.append((spelling_key(name), name, number, offset, size, *more))
                if len(rows) == _ROWS_A_CHUNK:
                    flush()
                    progress.update(task, completed=read + offset)
            file.check()
            read += file.size
            progress.update(task, completed=read)
    if rows:
        flush()
    table = pa.concat_tables(chunks).combine_chunks()
    order = pc.sort_indices(table, [(name, "ascending") for name in ("key", "name", "archive")])  # a stable sort
    table = table.select(schema.names).take(order).combine_chunks()
    return _last_of_each(table).replace_schema_metadata(schema.metadata)


def _last_of_each(table: pa.Table) -> pa.Table:
    """Leave out members that a later one of the same archive and name takes the place of."""
    if len(table) < 2:
        return table
    same = [pc.equal(table[name].slice(1), table[name].slice(0, len(table) - 1)) for name in ("name", "archive")]
    replaced = pc.and_(*same).to_numpy()
    return table.filter(pa.array(np.append(~replaced, True)))


def _write(table: pa.Table, places: Sequence[Path]) -> None:
    faults = []
    for place in places:
        try:
            with file_beside(place) as part:
                pq.write_table(table, part, use_dictionary=False)
        except (GeorankerError, pa.ArrowException) as error:
            faults.append(str(error))
        else:
            _remove_leftovers(place)
            return
    fix = "make room for it, or name another folder in XDG_CACHE_HOME"
    raise GeorankerError(f"the index of an archive can be written nowhere ({'; '.join(faults)}); {fix}")


def _remove_leftovers(place: Path) -> None:
    """Remove what processes that were killed have written of an index; one that still writes has a younger file."""
    for part in place.parent.glob(f".{glob.escape(place.name)}.*.part"):
        with suppress(OSError):  # another process was faster, or it is not ours
            if time.time() - part.stat().st_mtime > _DAY_SECONDS:
                part.unlink()


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table[name]
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)
