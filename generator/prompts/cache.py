"""What was made before, in the user's cache folder, so that nothing is made twice; deleting it costs time only.

captions/   a file for each captioner (weights, prefix and settings): content of a picture -> caption
rows/       a file for each finished row of a prompt book, by all that decides its texts: a stopped book goes on there
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError

from generator.foundation.errors import StorageError
from generator.foundation.storage import make_folder, write_json
from generator.prompts.book import BookRow

# How captions are written: part of the key, so that another setting is another cache.
CAPTION_SETTINGS = {"num_beams": 3, "max_new_tokens": 30}


class CaptionCache:
    """Content hash -> caption, for one captioner."""

    def __init__(self, captioner: Mapping[str, object]):
        self.path = _path("captions", captioner)
        content = _read(self.path)
        pairs = content.items() if isinstance(content, dict) else ()
        self._captions = {key: text for key, text in pairs if isinstance(text, str)}

    def get(self, digest: str) -> str | None:
        """Return the caption of a content, if there is one."""
        return self._captions.get(digest)

    def add(self, captions: Mapping[str, str]) -> None:
        """Keep captions; where the cache cannot be written they are made again next time."""
        self._captions.update(captions)
        _write(self.path, self._captions)


class MadeRow(BaseModel):
    """A finished row of the prompt book, and the models (role -> fingerprint) that wrote and judged its texts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: BookRow
    models: dict[str, str]


def read_row(identity: Mapping[str, object]) -> MadeRow | None:
    """Return the row that all this decides, if it was made before."""
    try:
        return MadeRow.model_validate(_read(_path("rows", identity)))
    except ValidationError:
        return None


def keep_row(identity: Mapping[str, object], made: MadeRow) -> None:
    """Keep a finished row; where the cache cannot be written it is made again next time."""
    _write(_path("rows", identity), made.model_dump(mode="json"))


def _path(kind: str, identity: Mapping[str, object]) -> Path:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("boxpaint")) / kind / f"{digest}.json"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _write(path: Path, content: Any) -> None:
    try:
        make_folder(path.parent)
        write_json(path, content)
    except StorageError:
        return
