"""The public files of the paper and of the field, a few dozen rows each: same names, columns, types and quirks.

Quirks that are kept: cells that hold a Python literal as text, names with apostrophes, quotes and letters of many
alphabets, the (0.0, 0.0) that the public code writes for an answer it could not parse, ids with `/` written as `_`,
titles that run over two lines, and an early copy with LAT and LON swapped.
"""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

GALLERY, QUERIES, RANKS = 60, 24, 20
NAMES = ("neighbourhood", "city", "county", "state", "region", "country")
PLACES365 = ("S3_Label", "S16_Label", "S365_Label", "Prob_indoor", "Prob_natural", "Prob_urban")

# Latitude, longitude, the six names and the continent. Longitudes beyond 90 degrees let swapped columns show.
PLACES = [
    (46.470601, 11.623621, "", "", "", "Trentino-Alto Adige/Südtirol", "", "Italy", "Europe"),
    (46.537400, 12.135700, "", "Cortina d'Ampezzo", "Belluno", "Veneto", "", "Italy", "Europe"),
    (43.703100, 7.266100, "", "Nice", "", "Provence-Alpes-Côte d'Azur", "Metropolitan France", "France", "Europe"),
    (40.712800, -74.006000, "Brooklyn", "New York", "", "New York", "", "United States", "North America"),
    (37.774900, -122.419400, 'The "Mission"', "San Francisco", "", "California", "", "United States", "North America"),
    (47.606200, -122.332100, "", "Seattle", "King County", "Washington", "", "United States", "North America"),
    (35.676200, 139.650300, "渋谷区", "東京都", "", "", "", "日本", "Asia"),
    (-33.868800, 151.209300, "Surry Hills", "Sydney", "", "New South Wales", "", "Australia", "Oceania"),
    (-22.906800, -43.172900, "", "Rio de Janeiro", "", "Rio de Janeiro", "Região Sudeste", "Brasil", "South America"),
    (-1.292100, 36.821900, "", "Nairobi", "", "Nairobi County", "", "Kenya", "Africa"),
    (55.755800, 37.617300, "", "Москва", "", "Москва", "", "Россия", "Europe"),
    (-16.500000, 179.990000, "", "", "", "", "", "Fiji", "Oceania"),
]


@dataclass(frozen=True)
class Miniatures:
    """Where the files lie, in the layout of the paper's repository."""

    root: Path
    georanking: Path
    im2gps3k: Path
    im2gps3k_places365: Path
    im2gps3k_swapped: Path
    im2gps3k_rows: Path
    im2gps3k_photos: Path
    yfcc4k: Path
    yfcc4k_places365: Path
    yfcc4k_rows: Path
    yfcc4k_photos: Path
    im2gps: Path
    im2gps_photos: Path
    yfcc26k: Path
    yfcc26k_photos: Path
    mp16_filtered: Path
    mp16_places365: Path
    mp16_photos: Path
    osv5m: Path


@dataclass(frozen=True)
class _Shot:
    """A photo of a table."""

    id: str
    latitude: float
    longitude: float
    names: tuple[str, ...]
    continent: str

    def jpeg(self) -> bytes:
        """A picture whose colour tells the place."""
        colour = (int(self.latitude + 90), int((self.longitude + 180) / 2), sum(map(ord, self.id)) % 256)
        data = io.BytesIO()
        Image.new("RGB", (48, 32), colour).save(data, "JPEG")
        return data.getvalue()


def write_miniatures(root: Path, seed: int = 0) -> Miniatures:
    """Write all files below a folder."""
    random = np.random.default_rng(seed)

    def shots(count: int, id_: Callable[[], str]) -> list[_Shot]:
        found = []
        for row in range(count):
            latitude, longitude, *names, continent = PLACES[row % len(PLACES)]
            north, east = (random.normal(0, 0.2, 2) * (row >= len(PLACES))).tolist()
            longitude = (longitude + east + 180) % 360 - 180
            found.append(_Shot(id_(), round(latitude + north, 6), round(longitude, 6), tuple(names), continent))
        return found

    def number(digits: int) -> str:
        return "".join(map(str, random.integers(1, 10, digits)))

    def flickr() -> str:
        return f"{number(9)}_{random.bytes(5).hex()}_{number(2)}_{number(8)}@N00.jpg"

    def mp16() -> str:
        return f"{random.bytes(1).hex()}_{random.bytes(1).hex()}_{number(10)}.jpg"

    gallery = shots(GALLERY, mp16)
    three, four = shots(QUERIES, flickr), shots(QUERIES, lambda: f"{number(10)}.jpg")
    two, many = shots(12, flickr), shots(QUERIES, lambda: mp16().replace("_", "/"))
    street = {"test": shots(16, lambda: number(15)), "train": shots(32, lambda: number(15))}

    def retrieved(queries: Sequence[_Shot]) -> np.ndarray:
        """The rows of the gallery that lie nearest, with some noise."""
        ends = np.array([(shot.latitude, shot.longitude) for shot in (*queries, *gallery)])
        apart = np.abs(ends[: len(queries), None] - ends[len(queries) :]).sum(-1) + random.gamma(1, 9, (1, GALLERY))
        return np.argsort(apart, 1)[:, :RANKS].astype(np.int64)

    def cells(queries: Sequence[_Shot], rows: np.ndarray) -> list[dict[str, object]]:
        """The columns that hold Python literals."""
        return [
            {
                "candidate_gps_lis": str([(gallery[at].latitude, gallery[at].longitude) for at in found]),
                "candidate_text_lis": str([list(gallery[at].names) for at in found]),
                "reverse_gps_lis": str([(1.5, 2.5)] * RANKS),
                "zs_gps_lis": str(_answers(query, random)),
                "candidate_img_lis": str([gallery[at].id for at in found]),
            }
            for query, found in zip(queries, rows.tolist(), strict=True)
        ]

    three_rows, four_rows = retrieved(three), retrieved(four)
    where = Miniatures(
        root=root,
        georanking=_ranking(root / "georanking/GeoRanking.parquet", gallery, retrieved(gallery)),
        im2gps3k=_csv(root / "im2gps3k/im2gps3k.csv", map(_places365, three), cells(three, three_rows)),
        im2gps3k_places365=_csv(root / "im2gps3k/im2gps3k_places365.csv", map(_places365, three)),
        im2gps3k_swapped=_csv(root / "im2gps3k/early/im2gps3k_places365.csv", map(_swapped, three)),
        im2gps3k_rows=_npy(root / "im2gps3k/I.npy", three_rows),
        im2gps3k_photos=_folder(root / "im2gps3k/im2gps3ktest", three),
        yfcc4k=_csv(root / "yfcc4k/yfcc4k.csv", map(_yfcc, four), cells(four, four_rows)),
        yfcc4k_places365=_csv(root / "yfcc4k/yfcc4k_places365.csv", map(_places365, four)),
        yfcc4k_rows=_npy(root / "yfcc4k/I.npy", four_rows),
        yfcc4k_photos=_zip(root / "yfcc4k/yfcc4k.zip", {f"yfcc4k/{shot.id}": shot for shot in four}),
        im2gps=_csv(root / "im2gps/im2gps_places365.csv", map(_places365, two)),
        im2gps_photos=_zip(
            root / "im2gps/gps_query_imgs.zip", {f"Rome_{n:05d}_{shot.id}": shot for n, shot in enumerate(two)}
        ),
        yfcc26k=_csv(root / "yfcc26k/yfcc25600_places365.csv", map(_places365, many)),
        yfcc26k_photos=_folder(root / "yfcc26k/yfcc25600", many),
        mp16_filtered=_csv(root / "mp16-pro/MP16_Pro_filtered.csv", map(_mp16, gallery)),
        mp16_places365=_csv(root / "mp16-pro/MP16_Pro_places365.csv", map(_places365, gallery), map(_names, gallery)),
        mp16_photos=_tar(root / "mp16-pro/mp-16-images.tar", {f"./images/{shot.id}": shot for shot in gallery}),
        osv5m=root / "osv5m",
    )
    for split, taken in street.items():
        _csv(where.osv5m / f"{split}.csv", map(_osv5m, taken))
        for part in range(2):
            inside = {f"0{part}/{shot.id}.jpg": shot for shot in taken[part::2]}
            _zip(where.osv5m / f"images/{split}/0{part}.zip", inside)
    return where


def _answers(query: _Shot, random: np.random.Generator) -> list[tuple[float, float]]:
    """Ten places that a language model guesses; it declines now and then."""
    guesses = np.round(np.array([query.latitude, query.longitude]) + random.normal(0, 3, (10, 2)), 4)
    return [
        (0.0, 0.0) if random.random() < 0.2 else (max(-90.0, min(90.0, a)), max(-180.0, min(180.0, b)))
        for a, b in guesses.tolist()
    ]


def _places365(shot: _Shot) -> dict[str, object]:
    scene = dict(zip(PLACES365, (2, 13, 48, 2.1e-05, 0.37, 0.63), strict=True))
    return {"IMG_ID": shot.id, "AUTHOR": "73293249@N00", "LON": shot.longitude, "LAT": shot.latitude, **scene}


def _swapped(shot: _Shot) -> dict[str, object]:
    return {**_places365(shot), "LON": shot.latitude, "LAT": shot.longitude}


def _yfcc(shot: _Shot) -> dict[str, object]:
    title = 'At "home",\nagain' if shot.latitude > 0 else "Holidays"
    return {"IMG_ID": shot.id, "OwnerNSID": "1@N02", "Title": title, "LAT": shot.latitude, "LON": shot.longitude}


def _names(shot: _Shot) -> dict[str, object]:
    return {**dict(zip(NAMES, shot.names, strict=True)), "country_code": "xx", "continent": shot.continent}


def _mp16(shot: _Shot) -> dict[str, object]:
    return {"IMG_ID": shot.id, "AUTHOR": "7@N00", "LAT": shot.latitude, "LON": shot.longitude, **_names(shot)}


def _osv5m(shot: _Shot) -> dict[str, object]:
    _, city, county, state, _, country = shot.names
    place = {"id": shot.id, "latitude": shot.latitude, "longitude": shot.longitude, "thumb_original_url": "https://x/y"}
    return {**place, "country": country[:2].upper(), "region": state, "sub-region": county, "city": city, "climate": 15}


def _csv(path: Path, *parts: Iterable[Mapping[str, object]]) -> Path:
    """Write rows; each part has some of the columns."""
    rows = [{name: value for part in row for name, value in part.items()} for row in zip(*parts, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")  # as pandas writes
        writer.writeheader()
        writer.writerows(rows)
    return path


def _npy(path: Path, rows: np.ndarray) -> Path:
    np.save(path, rows)
    return path


def _folder(path: Path, shots: Sequence[_Shot]) -> Path:
    for shot in shots:
        (path / shot.id).parent.mkdir(parents=True, exist_ok=True)
        (path / shot.id).write_bytes(shot.jpeg())
    return path


def _zip(path: Path, shots: Mapping[str, _Shot]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, shot in shots.items():
            archive.writestr(name, shot.jpeg())
    return path


def _tar(path: Path, shots: Mapping[str, _Shot]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, shot in shots.items():
            data, info = shot.jpeg(), tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _ranking(path: Path, gallery: Sequence[_Shot], rows: np.ndarray) -> Path:
    """Write the training lists: rank 0 is the photo itself, but for two rows where it was not found."""
    found = []
    for row, (query, near) in enumerate(zip(gallery, rows.tolist(), strict=True)):
        others = [at for at in near if at != row]
        ranks = [gallery[at] for at in ([row, *others] if row not in (3, 7) else [*others, 50 + row])[:RANKS]]
        ranks += [gallery[(row + step) % GALLERY] for step in range(1, RANKS - len(ranks) + 1)]
        found.append(
            {
                "img_id": query.id,
                "gps": [query.latitude, query.longitude],
                "ref_gps": [[shot.latitude, shot.longitude] for shot in ranks],
                "ref_img_id": [shot.id for shot in ranks],
                "ref_texts": [[name for name in shot.names if name] for shot in ranks],
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema(
        {
            "img_id": pa.string(),
            "gps": pa.list_(pa.float64()),
            "ref_gps": pa.list_(pa.list_(pa.float64())),
            "ref_img_id": pa.list_(pa.string()),
            "ref_texts": pa.list_(pa.list_(pa.string())),
        }
    )
    pq.write_table(pa.Table.from_pylist(found, schema), path)
    return path
