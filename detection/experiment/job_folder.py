"""What a job leaves on disk: jobs/<name>-<digest>/, each file whole or absent.

job.json                 what it is, everything that decided it, scores, losses, times; written last: finished
detections.json          what was found on each test picture
resampled-<count>.npy    AP of each category on each drawing of test pictures
model/                   weights, where another job starts from them or they are to be kept
pasted.jpg               some pictures of the arm copy_paste
checkpoint/              while it trains
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detection.detectors.types import Detections
from generator.foundation.errors import StorageError
from generator.foundation.storage import atomic_writer, make_folder, translate_os_errors, write_json

SCHEMA_VERSION = 1
JOB, DETECTIONS, MODEL, CHECKPOINT, PASTED = "job.json", "detections.json", "model", "checkpoint", "pasted.jpg"
MAX_DETECTIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFolder:
    """The folder of one job."""

    path: Path

    @classmethod
    def of(cls, jobs: Path, name: str, digest: str) -> JobFolder:
        """Name the folder of a job among those of all jobs; makes nothing."""
        return cls(path=jobs / f"{name}-{digest}")

    def is_trained(self) -> bool:
        """Whether the training and its predictions are finished."""
        return (self.path / JOB).is_file()

    def is_finished(self, bootstrap: int) -> bool:
        """Whether nothing is left to do; of a pretraining, no detections are wanted."""
        has_scores = self.is_trained() and self.read_report()["scores"] is not None
        return self.is_trained() and (not has_scores or self._resampled(bootstrap).is_file())

    def read_report(self) -> dict[str, Any]:
        """Read job.json. Raises StorageError when it is damaged."""
        return dict(_read_json(self.path / JOB))

    def write_report(self, report: dict[str, Any]) -> None:
        """Write job.json: the job is finished then. Raises StorageError."""
        write_json(make_folder(self.path) / JOB, {"schema_version": SCHEMA_VERSION, **report})

    def read_detections(self) -> list[Detections]:
        """Read what was found in each test picture. Raises StorageError when it is damaged."""
        return [
            Detections(
                boxes_xyxy=np.array(item["boxes_xyxy"], np.float32).reshape(-1, 4),
                labels=np.array(item["labels"], np.int64),
                scores=np.array(item["scores"], np.float32),
            )
            for item in _read_json(self.path / DETECTIONS)
        ]

    def write_detections(self, found: Sequence[Detections]) -> list[Detections]:
        """Write the best of what was found in each test picture; returns it as it is read back."""
        # float32 as text and back is the same float32
        content = [
            {
                "boxes_xyxy": item.boxes_xyxy[:MAX_DETECTIONS].astype(float).tolist(),
                "labels": item.labels[:MAX_DETECTIONS].tolist(),
                "scores": item.scores[:MAX_DETECTIONS].astype(float).tolist(),
            }
            for item in found
        ]
        write_json(make_folder(self.path) / DETECTIONS, content, indent=None)
        return self.read_detections()

    def read_resampled(self, bootstrap: int) -> np.ndarray:
        """AP of each drawing and category, (B, K) float64. Raises StorageError when it is damaged."""
        path = self._resampled(bootstrap)
        with translate_os_errors(path):
            try:
                return np.asarray(np.load(path, allow_pickle=False))
            except (ValueError, EOFError):
                raise _damaged(path) from None

    def write_resampled(self, ap: np.ndarray) -> None:
        """Keep AP of each drawing and category, (B, K) float64."""
        with atomic_writer(self._resampled(len(ap))) as stream:
            np.save(stream, ap, allow_pickle=False)

    def _resampled(self, bootstrap: int) -> Path:
        return self.path / f"resampled-{bootstrap}.npy"


def _read_json(path: Path) -> Any:
    with translate_os_errors(path):
        try:
            return json.loads(path.read_bytes())
        except ValueError:
            raise _damaged(path) from None


def _damaged(path: Path) -> StorageError:
    return StorageError(f"{path}: is damaged; remove the folder {path.parent}, and the same command makes it again")
