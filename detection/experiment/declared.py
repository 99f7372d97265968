"""What an experiment file said before there were scores: a claim that is chosen afterwards is no claim."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from detection.experiment.config import ExperimentConfig
from detection.experiment.job_folder import JOB
from generator.foundation.errors import StorageError
from generator.foundation.storage import translate_os_errors, write_json

EXPERIMENT = "experiment.json"
# Of these the scores do not hang: speed, words, and where files lie. Other pictures are other trainings anyway.
_FREE: Any = {
    "workers": True,
    "device": True,
    "keep_models": True,
    "notes": True,
    "real": {"data"},
    "synthetic": {"data", "background", "classes", "config"},
}
_SHOWN = 100


def declare(config: ExperimentConfig, out: Path, jobs: Path) -> tuple[str, ...]:
    """Write what the file says into experiment.json, unless trainings were scored: then that file stays as it was.

    Returns what is said otherwise now, such as "claim: 'mixed', before 'refined'". Raises StorageError.
    """
    path = out / EXPERIMENT
    if not path.is_file() or not scored_folders(jobs):
        write_json(path, config.model_dump(mode="json"))
        return ()
    with translate_os_errors(path):
        try:
            before = json.loads(path.read_bytes())
        except ValueError:
            before = None
    if not isinstance(before, dict):
        raise StorageError(f"{path}: is damaged, so what was declared is lost; choose another folder with --out")
    now = config.model_dump(mode="json", exclude=_FREE)
    return tuple(
        _change(key, before[key], value)
        for key, value in now.items()
        # Absent: written before this setting was there.
        if key in before and _comparable(before[key], value) != value
    )


def scored_folders(jobs: Path, *, shown: Collection[str] = ()) -> list[str]:
    """Names of the folders of finished trainings that were scored, without those `shown`. Raises StorageError."""
    with translate_os_errors(jobs):
        names = sorted(path.parent.name for path in jobs.glob(f"*/{JOB}"))
    return [name for name in names if not name.startswith("pretrain-") and name not in shown]


def _comparable(before: Any, now: Any) -> Any:
    """Of a section only what is in both: paths are left out of `now`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return {key: before.get(key, value) for key, value in now.items()}
    return before


def _change(key: str, before: Any, now: Any) -> str:
    texts = [json.dumps(value, ensure_ascii=False) for value in (now, _comparable(before, now))]
    return f"{key}: {texts[0]}, before {texts[1]}" if max(map(len, texts)) <= _SHOWN else key
