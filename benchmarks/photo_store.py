"""Speed of reading photos out of a tar archive, ours and the public way, and the cost of an index of many members.

The public way, as the code of arXiv 2505.13731 has it: an index of `tarfile.TarInfo` by photo id. A candidate's photo
is extracted, encoded again as JPEG (quality 75, Pillow's own) and in base64, and decoded from there. In training the
archive is opened for each example, the query's photo goes the same way, and is decoded again for each candidate. At
evaluation the archive stays open, and the query's photo is decoded from its file for each candidate, guessed ones too.

Ours reads the bytes by position and decodes each photo once: on one core, and side by side in threads, as collators and
`check-data` do without workers; the public way cannot, since its open archive has one position. Both give RGB images in
full size, from the same files, in one process and in turns. A photo is counted once, however often it is decoded.

    python benchmarks/photo_store.py
"""

from __future__ import annotations

import argparse
import base64
import io
import multiprocessing
import platform
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from georanker.files import write_json
from georanker.side_by_side import side_by_side
from georanker.stores.folder_store import FolderStore
from georanker.stores.tar_store import TarStore

RESULTS = Path(__file__).parent / "results" / "photo_store.json"
SIZE = (500, 375)  # of the photos of MP-16, about
TRAINING, RETRIEVED, GUESSED = 7, 12, 3  # candidates of the paper, in training and at evaluation
GOAL = 3


def photo(random: np.random.Generator) -> bytes:
    """Return a JPEG whose detail falls with its scale as that of photos does, 1 over frequency, softer colours."""
    width, height = SIZE
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.fftfreq(width) * width)
    frequency[0, 0] = 1
    falls = frequency ** -random.uniform(1.0, 1.4)
    fields = np.fft.ifft2(np.fft.fft2(random.standard_normal((3, height, width))) * falls).real
    fields = (fields - fields.mean((1, 2), keepdims=True)) / fields.std((1, 2), keepdims=True)
    pixels = 128 + fields * np.array([50, 15, 15])[:, None, None]
    buffer = io.BytesIO()
    image = Image.merge("YCbCr", [Image.fromarray(plane) for plane in pixels.clip(0, 255).astype(np.uint8)])
    image.save(buffer, "JPEG", quality=int(random.integers(82, 93)))
    return buffer.getvalue()


def make_tar(path: Path, count: int) -> int:
    """Write photos as members `ab/cd/1234.jpg`, and return how many bytes they have."""
    random, size = np.random.default_rng(0), 0
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            data, info = photo(random), tarfile.TarInfo(f"{number % 251:02x}/{number % 241:02x}/{number}.jpg")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
            size += len(data)
    return size


def reencoded(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """Extract a photo, and return it as the public way puts it into a prompt."""
    file = archive.extractfile(member)
    assert file is not None
    buffer = io.BytesIO()
    with Image.open(file) as image:
        image.save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")


class Photos:
    """The same photos in an archive and in a folder, to be read in both ways.

    Args:
        path: the archive; the folder is made beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.folder = path, path.with_suffix("")
        self.archive = tarfile.open(path)  # noqa: SIM115  (it stays open, as at evaluation)
        self.members = {member.name: member for member in self.archive}
        self.archive.extractall(self.folder, filter="data")
        self.store, self.queries = TarStore(path), FolderStore(self.folder)


Read = Callable[[Photos, list[str]], list[Image.Image]]


def ours(photos: Photos, ids: list[str]) -> list[Image.Image]:
    return [photos.store.decode(photo_id) for photo_id in ids]


def ours_evaluation(photos: Photos, ids: list[str]) -> list[Image.Image]:
    return [photos.queries.decode(ids[0]), *ours(photos, ids[1:])]


def public(photos: Photos, ids: list[str]) -> list[Image.Image]:
    return [decoded(reencoded(photos.archive, photos.members[photo_id])) for photo_id in ids]


def public_training(photos: Photos, ids: list[str]) -> list[Image.Image]:
    with tarfile.open(photos.path) as archive:
        query, *candidates = (reencoded(archive, photos.members[photo_id]) for photo_id in ids)
    return [image for candidate in candidates for image in (decoded(query), decoded(candidate))]


def public_evaluation(photos: Photos, ids: list[str]) -> list[Image.Image]:
    queries = [Image.open(photos.folder / ids[0]).convert("RGB") for _ in range(len(ids) - 1 + GUESSED)]
    return [*queries, *public(photos, ids[1:])]


WAYS: dict[str, tuple[int, Read, Read]] = {
    "a candidate's photo": (1, ours, public),
    f"a training example, 1 + {TRAINING}": (1 + TRAINING, ours, public_training),
    f"a query at evaluation, 1 + {RETRIEVED}": (1 + RETRIEVED, ours_evaluation, public_evaluation),
}


def dropped(read: Read, photos: Photos, ids: list[str]) -> None:
    """Keep no image: a reader makes something small of it."""
    read(photos, ids)


def one_by_one(read: Callable[[list[str]], None], groups: list[list[str]]) -> None:
    for group in groups:
        read(group)


def photos_per_second(photos: Photos, ids: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Return the best round of each way: the others were disturbed by something else."""
    found = {}
    for what, (size, mine, theirs) in WAYS.items():
        groups = [ids[start : start + size] for start in range(0, len(ids) - size + 1, size)]
        ways: dict[str, Callable[[], object]] = {
            "public way": partial(one_by_one, partial(dropped, theirs, photos), groups),
            "ours, one core": partial(one_by_one, partial(dropped, mine, photos), groups),
            "ours": partial(side_by_side, partial(dropped, mine, photos), groups),
        }
        seconds = dict.fromkeys(ways, float("inf"))
        for _ in range(rounds):
            for name, read in ways.items():
                start = time.perf_counter()
                read()
                seconds[name] = min(seconds[name], time.perf_counter() - start)
        rates = {name: len(groups) * size / best for name, best in seconds.items()}
        found[what] = {name: round(rate) for name, rate in rates.items()} | {
            f"ratio, {name}": round(rates[name] / rates["public way"], 2) for name in ("ours, one core", "ours")
        }
    return found


def differences(photos: Photos, ids: list[str]) -> dict[str, float]:
    """Return how far, at most and on average, the pixels of each way are from a plain decoding of the original."""
    found: dict[str, float] = {}
    for name, read in (("ours", ours), ("public way", public)):
        gaps = []
        for photo_id, image in zip(ids, read(photos, ids), strict=True):
            with Image.open(photos.folder / photo_id) as original:
                gaps.append(np.abs(np.asarray(image).astype(int) - np.asarray(original.convert("RGB"))))
        found |= {f"{name}, most": int(np.max(gaps)), f"{name}, mean": round(float(np.mean(gaps)), 2)}
    return found


def index_costs(path: Path, members: int) -> dict[str, float]:
    """Return what it takes to index an archive, to open its index in a fresh process, and to find a member."""
    names = [f"{n * 7919 % 256:02x}/{n * 104729 % 256:02x}/{n * 15485863 % 10**10}.jpg" for n in range(members)]
    with path.open("wb") as file:
        for name in names:
            file.write(tarfile.TarInfo(name).tobuf())
        file.write(bytes(1024))
    start = time.process_time()
    TarStore(path)
    made = time.process_time() - start
    index = path.with_name(f"{path.name}.index.parquet")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        opened = pool.apply(opened_index, (path, names[:: max(1, members // 20_000)]))
    return {"processor seconds to make": made, "its file, MB": index.stat().st_size / 1e6, **opened}


def opened_index(path: Path, names: list[str]) -> dict[str, float]:
    before, start = resident_megabytes(), time.process_time()
    store = TarStore(path)
    found = {
        "processor seconds to open": time.process_time() - start,
        "its arrays, MB": store.index().nbytes / 1e6,
        "growth of the process, MB": resident_megabytes() - before,
    }
    for spelling, ids in (("as written", names), ("with _ for /", [name.replace("/", "_") for name in names])):
        start = time.process_time()
        assert all(photo_id in store for photo_id in ids)
        found[f"microseconds to find, {spelling}"] = (time.process_time() - start) / len(ids) * 1e6
    return found


def resident_megabytes() -> float:
    """Return the memory of this process; 0 where the system does not tell."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * resource.getpagesize() / 1e6 if told.exists() else 0.0


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Reading photos out of a tar archive, ours and the public way.")
    parser.add_argument("--photos", type=int, default=24 * (1 + RETRIEVED))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", type=int, default=1_000_000, help="of the index; the archive takes 512 bytes each")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = make_tar(Path(folder) / "photos.tar", arguments.photos)
        photos = Photos(Path(folder) / "photos.tar")
        ids = np.random.default_rng(1).permutation(list(photos.members)).tolist()
        gaps = differences(photos, ids[:16])
        assert gaps["ours, most"] == 0
        rates = photos_per_second(photos, ids, arguments.rounds)
        photos.archive.close()
        costs = index_costs(Path(folder) / "many.tar", arguments.members)
    kilobytes = round(size / arguments.photos / 1000)
    console = Console()
    title = f"{SIZE[0]} x {SIZE[1]}, {kilobytes} kB a photo, {torch.get_num_threads()} threads"
    table = Table("photos/s", "public way", "ours, one core", "", "ours", "", title=title)
    for what, rate in rates.items():
        one, all_ = (f"{rate[f'ratio, {name}']:.2f} x" for name in ("ours, one core", "ours"))
        table.add_row(what, *(f"{rate[name]:,}" for name in list(rate)[:2]), one, f"{rate['ours']:,}", all_)
    console.print(table)
    console.print(f"goal: {GOAL}. Pixels from those of the original: {gaps}")
    index = Table(f"index of {arguments.members:,} members", "")
    for name, cost in costs.items():
        index.add_row(name, f"{cost:,.1f}")
    console.print(index)
    content = {
        "settings": vars(arguments),
        "kilobytes_a_photo": kilobytes,
        "photos_per_second": rates,
        "goal": GOAL,
        "pixels_from_the_original": gaps,
        "index": {name: round(cost, 2) for name, cost in costs.items()},
        "what": "photos in a second of the clock, the best of the rounds; files in the page cache",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("georanker", "pillow", "pyarrow", "numpy")},
        "machine": platform.machine(),
    }
    write_json(RESULTS, content)


if __name__ == "__main__":
    main()
