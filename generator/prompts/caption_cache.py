"""Captions that were made before, by captioner and content: a picture is captioned once, whatever it is called.

One JSON file for each captioner (weights, prefix and settings) in the user's cache folder; deleting it costs time only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from generator.errors import StorageError
from generator.storage import make_folder, write_json

# How captions are written: part of the key, so that another setting is another cache.
CAPTION_SETTINGS = {"num_beams": 3, "max_new_tokens": 30}


class CaptionCache:
    """Content hash -> caption, for one captioner."""

    def __init__(self, captioner: Mapping[str, object]):
        identity = hashlib.sha256(json.dumps(captioner, sort_keys=True).encode()).hexdigest()[:16]
        self.path = Path(platformdirs.user_cache_dir("boxpaint")) / "captions" / f"{identity}.json"
        self._captions = self._read()

    def get(self, digest: str) -> str | None:
        """Return the caption of a content, if there is one."""
        return self._captions.get(digest)

    def add(self, captions: Mapping[str, str]) -> None:
        """Keep captions; where the cache cannot be written they are made again next time."""
        self._captions.update(captions)
        try:
            make_folder(self.path.parent)
            write_json(self.path, self._captions)
        except StorageError:
            return

    def _read(self) -> dict[str, str]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(content, dict):
            return {}
        return {key: text for key, text in content.items() if isinstance(text, str)}
