"""Say where photos were taken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from georanker.types import GeorankerError

if TYPE_CHECKING:
    from georanker.types import Photo


def localize(
    *photos: str,
    run: Path = Path("runs/demo"),
    pretrained: str | None = None,
    out: Path | None = None,
    top_k: int = 5,
    gallery_photos: Path | None = None,
) -> None:
    """Say where photos were taken.

    Shows the answers with their names and how sure they are, for one photo with its candidates. A photo that cannot be
    read is told on standard error, the others go on, and the exit status is 1. Where a photo's own EXIF says where it
    was taken, that is shown beside the answer, and never used for it.

    Args:
        photos: files, folders or globs.
        run: a run's folder, as `georanker demo` leaves it.
        pretrained: a folder that `save_pretrained` wrote, or a hub's id, in place of the run.
        out: a file for the answers, which ends in .json, .csv, .geojson or .html; without one they are only shown.
        top_k: candidates that an answer shows.
        gallery_photos: a folder, .tar or .zip with the gallery's photos, for a ranker that looks at them.
    """
    from rich.console import Console

    from georanker.localizer import Localizer
    from georanker.localizing.localized_photos import LocalizedPhotos
    from georanker.localizing.photo_inputs import once, photos_of
    from georanker.localizing.places_out import writer
    from georanker.stores.open_store import open_store

    write = writer(out) if out else None
    found: list[Photo] = []
    refused: list[str] = []
    for given in photos:
        try:
            found += photos_of(given)
        except GeorankerError as error:
            refused.append(str(error))
    asked = once(found)
    if not asked:
        raise GeorankerError("\n".join(refused))
    source = open_store(gallery_photos) if gallery_photos else None
    localizer = Localizer.from_pretrained(pretrained, source) if pretrained else Localizer.from_run(run, source)
    for reason in refused:
        print(f"georanker: {reason}", file=sys.stderr)
    failed: list[Photo] = []

    def tell(photo: Photo, error: GeorankerError) -> None:
        failed.append(photo)
        print(f"georanker: {error}", file=sys.stderr)

    answers = LocalizedPhotos(list(localizer.stream(asked, top_k, tell)))
    if answers:
        Console(soft_wrap=True).print(answers[0] if len(asked) == 1 else answers)
    if write and out and answers:
        write(answers, out)
    if failed:
        raise GeorankerError(f"{len(failed):,} of {len(asked):,} photos could not be read")
    if refused:
        raise GeorankerError(f"{len(refused):,} of {len(photos):,} arguments name no photo")
