"""run.json: to which spec, config and seed a run folder belongs, and how another run differs from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from generator.foundation.errors import StorageError
from generator.foundation.version import __version__
from generator.plan import Plan

RUN_SCHEMA_VERSION = 2
_BEGIN_AGAIN = "what was begun here cannot go on: begin again with --overwrite, or with another --out"
_RUN_KEYS = {"schema_version", "spec_digest", "config"}


def identity_of(plan: Plan) -> dict[str, Any]:
    """What decides the scenes of a plan, as run.json keeps it."""
    return {
        "schema_version": RUN_SCHEMA_VERSION,
        "boxpaint": __version__,
        "spec_digest": plan.spec.digest,
        "spec": json.loads(json.dumps(plan.spec.to_json())),  # tuples become lists, as they come back from the file
        "config": plan.config.identity(),
    }


def differences_between(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say where two identities differ, a line for each place."""
    keys = ("spec", "config")
    version = before.get("schema_version")
    if version != RUN_SCHEMA_VERSION:
        return [
            f"another version of boxpaint wrote it (schema_version {version}, this one writes {RUN_SCHEMA_VERSION})"
        ]
    return [line for key in keys for line in compare(key, before.get(key), now[key])]


def read_run(folder: Path, *, overwrite: bool) -> dict[str, Any] | None:
    """Read run.json; None when it is somebody else's. A damaged one of ours may be overwritten."""
    try:
        content = read_json(folder / "run.json")
    except StorageError:
        if overwrite and (folder / "records").is_dir():
            return {}
        raise
    return content if content.keys() >= _RUN_KEYS else None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that we wrote. Raises StorageError when it is damaged."""
    try:
        data = json.loads(path.read_bytes())
    except ValueError:
        raise StorageError(f"{path}: is damaged (not JSON); {_BEGIN_AGAIN}") from None
    if not isinstance(data, dict):
        raise StorageError(f"{path}: is damaged; {_BEGIN_AGAIN}")
    return data


def compare(where: str, before: Any, now: Any) -> list[str]:
    """One line for each leaf that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        return [line for key in keys for line in compare(f"{where}.{key}", before.get(key), now.get(key))]
    if isinstance(before, list) and isinstance(now, list):
        pairs = enumerate(zip_longest(before, now), start=1)
        return [line for number, (old, new) in pairs for line in compare(f"{where}[{number}]", old, new)]
    return [] if before == now else [f"{where}: {_short(before)} before, {_short(now)} now"]


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
