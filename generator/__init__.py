"""boxpaint's generator: two CSV files in, an annotated data set out. `boxpaint` hands on the public names below.

Importing this package loads neither torch nor pandas: a name is fetched when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generator.config import Config
    from generator.dataset.folder import Dataset
    from generator.dataset.validation import validate_dataset
    from generator.foundation.errors import BoxpaintError
    from generator.foundation.geometry import Box
    from generator.foundation.version import __version__
    from generator.plan import Plan, ScenePlan
    from generator.run import Listener, generate
    from generator.spec import Spec, load_spec

_HOMES = {
    "BoxpaintError": "generator.foundation.errors",
    "Box": "generator.foundation.geometry",
    "Config": "generator.config",
    "Dataset": "generator.dataset.folder",
    "Listener": "generator.run",
    "Plan": "generator.plan",
    "ScenePlan": "generator.plan",
    "Spec": "generator.spec",
    "__version__": "generator.foundation.version",
    "generate": "generator.run",
    "load_spec": "generator.spec",
    "validate_dataset": "generator.dataset.validation",
}

__all__ = [
    "Box",
    "BoxpaintError",
    "Config",
    "Dataset",
    "Listener",
    "Plan",
    "ScenePlan",
    "Spec",
    "__version__",
    "generate",
    "load_spec",
    "validate_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'generator' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
