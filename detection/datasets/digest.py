"""What identifies pictures with their labels, so that a result can say what it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from detection.datasets.types import DetectionDataset


def digest_of_set(data: DetectionDataset, pictures: Iterable[str]) -> str:
    """SHA-256, in hex, over categories, pictures and labels in their order; where the files lie does not count.

    `pictures`: a digest of each picture's file.
    """
    digest = hashlib.sha256(json.dumps(data.categories).encode())
    for sample, picture in zip(data.samples, pictures, strict=True):
        digest.update(picture.encode())
        for array in (sample.boxes_xyxy, sample.labels, sample.requested_xyxy, sample.tight_xyxy):
            digest.update(array.tobytes())
        digest.update(json.dumps(sample.segmentations).encode())
        if sample.not_exhaustive:  # else it is what it was before there were any
            digest.update(json.dumps(sorted(sample.not_exhaustive)).encode())
    return digest.hexdigest()
