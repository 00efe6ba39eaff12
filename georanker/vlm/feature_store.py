"""Features of the gallery's photos, kept on disk between batches and runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from georanker.files import file_beside
from georanker.vlm.features import GRID, KEY, TEXT, PhotoFeatures, level_name
from georanker.vlm.photo_tokens import PhotoTokens

_LISTED = "listed"
_COUNT_AGAIN = 64  # other processes write too


class FeatureStore:
    """One file a photo, named by a hash of its bytes and of the model that read it.

    A photo that is there is neither decoded nor run through the vision tower again. Files are never replaced; what
    would grow the folder beyond its budget is not written. A process learns now and then of what others wrote, so that
    each of them may be over by some photos.

    Args:
        folder: of the files; several processes, models and runs may share it.
        budget_bytes: the size that the folder may grow to.
        model: tells apart what makes other features of the same photo.
    """

    def __init__(self, folder: Path, budget_bytes: int, model: str) -> None:
        self.folder, self.budget_bytes, self.model = folder, budget_bytes, model
        self._asked = 0
        self._bytes = 0

    def key(self, data: bytes, settings: str) -> bytes:
        """Return the name of a photo's features.

        Args:
            data: the photo's file.
            settings: what is done with it before the model sees it.
        """
        return hashlib.sha256(f"{self.model}\n{settings}\n".encode() + data).digest()

    def get(self, key: bytes) -> PhotoTokens | None:
        """Return what is kept of a photo, None if there is nothing."""
        from safetensors import SafetensorError, safe_open

        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                names, text = list(file.keys()), file.metadata()[TEXT]
                tensors = {name: file.get_tensor(name) for name in names}
        except (FileNotFoundError, SafetensorError):  # a broken file is written again
            return None
        return PhotoTokens(tensors, text, len(tensors[level_name(0)]))

    def put(self, features: PhotoFeatures, photos: Sequence[Mapping[str, Tensor]], counts: Tensor) -> None:
        """Keep the features of those photos of a batch that are to be kept."""
        from safetensors.torch import save_file

        for photo, start, count in zip(photos, features.starts.tolist(), counts.tolist(), strict=True):
            if KEY not in photo:
                continue
            tensors = {level_name(n): level[start : start + count] for n, level in enumerate(features.levels)}
            tensors[_LISTED] = torch.tensor(features.listed)
            if GRID in photo:
                tensors[GRID] = photo[GRID]
            if not self._has_room(sum(tensor.nbytes for tensor in tensors.values())):
                continue
            path = self._path(bytes(photo[KEY].tolist()))
            with file_beside(path) as part:
                save_file(
                    {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()},
                    part,
                    metadata={TEXT: bytes(photo[TEXT].tolist()).decode()},
                )
            self._bytes += path.stat().st_size

    def _has_room(self, more_bytes: int) -> bool:
        if self._asked % _COUNT_AGAIN == 0:
            self._bytes = sum(path.stat().st_size for path in self.folder.glob("*/*.safetensors"))
        self._asked += 1
        return self._bytes + more_bytes <= self.budget_bytes

    def _path(self, key: bytes) -> Path:
        return self.folder / key.hex()[:2] / f"{key.hex()}.safetensors"
