"""Photos that are not there, or cannot be decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from georanker.checks.base import Check, Finding, Split, found


class UnreadablePhotos(Check):
    """Finds photos that are missing and photos that are broken, those of the candidates too."""

    def findings(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Yield them split by split."""
        for split in splits:
            for whose, looks in (("photos", split.looks), ("candidates' photos", split.candidate_looks)):
                missing = [_line(id_, look.fault) for id_, look in looks.items() if look.fault and look.missing]
                broken = [_line(id_, look.fault) for id_, look in looks.items() if look.fault and not look.missing]
                fix = "copy them to where the data looks for photos, point it to where they are, or drop their rows"
                yield from found(split.name, f"{whose} that are missing", missing, fix)
                fix = "do what is said of each, fetch them again, or drop their rows"
                yield from found(split.name, f"{whose} that are broken", broken, fix)


def _line(photo_id: str, fault: str) -> str:
    return fault if photo_id in fault else f"photo {photo_id}: {fault}"
