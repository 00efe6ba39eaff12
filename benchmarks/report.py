"""Size of the report of 10,000 answers, and how long it takes to write it and a browser to draw it.

The answers are made up: photos anywhere on the sphere, 20 candidates each, and photos in colourful noise, which
compress as badly as real ones. Chromium starts anew for each round, with WebGL in software and without a network; the
time counts from the start of navigation until plotly has drawn the map.

    python benchmarks/report.py
"""

from __future__ import annotations

import io
import platform
import sys
import tempfile
import time
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from georanker.data.blue_marble_tiles import package_file
from georanker.files import write_json
from georanker.report.html_report import write_report

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.report.answers import some_answers, written
from tests.report.browser import chromium, console, opened

PHOTOS, CANDIDATES, ROUNDS = 10_000, 20, 5
LARGEST_MB, LONGEST_S = 15.0, 3.0


class NoisyPhotos:
    """Photos of coloured clouds under fine noise, each its own."""

    def read(self, photo_id: str) -> bytes:
        """Return a photo of 320 x 240 pixels."""
        random = np.random.default_rng(zlib.crc32(photo_id.encode()))
        clouds = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize(
            (320, 240), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(clouds) + random.normal(0, 12, (240, 320, 3))
        packed = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(packed, "JPEG", quality=90)
        return packed.getvalue()


def main() -> None:
    """Measure, print and write `results/report.json`."""
    photos = NoisyPhotos()
    write_s, draw_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        answers, page = (
            written(some_answers(PHOTOS, CANDIDATES), Path(folder) / "answers.parquet"),
            Path(folder) / "r.html",
        )
        for _ in range(ROUNDS):
            start = time.perf_counter()
            write_report(answers, page, photo_source=photos, gallery_source=photos, background=package_file("bmng.jpg"))
            write_s.append(round(time.perf_counter() - start, 2))
            with chromium() as browser:
                draw_s.append(round(opened(browser, page) / 1000, 2))
                assert not console(browser)
                browser_version = browser.capabilities["browserVersion"]
        megabytes = round(page.stat().st_size / 1e6, 2)

    assert megabytes < LARGEST_MB, f"{megabytes} MB"
    result = {
        "photos": PHOTOS,
        "candidates": CANDIDATES,
        "megabytes": megabytes,
        "goal_megabytes": LARGEST_MB,
        "seconds_to_write": min(write_s),
        "seconds_to_draw": min(draw_s),
        "goal_seconds_to_draw": LONGEST_S,
        "all_seconds_to_write": write_s,
        "all_seconds_to_draw": draw_s,
        "what": "the least of the rounds; WebGL in software",
        "versions": {"python": platform.python_version(), "chromium": browser_version}
        | {name: version(name) for name in ("georanker", "plotly", "selenium", "pillow", "numpy")},
        "machine": platform.machine(),
    }
    write_json(Path(__file__).parent / "results" / "report.json", result)
    print(f"{PHOTOS:,} photos of {CANDIDATES} candidates: {megabytes} MB (goal {LARGEST_MB:g})")
    print(f"written in {min(write_s)} s, drawn in {min(draw_s)} s (goal {LONGEST_S:g}); rounds {draw_s}")


if __name__ == "__main__":
    main()
