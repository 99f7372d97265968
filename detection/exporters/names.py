"""Names of categories as folders."""

from __future__ import annotations

import re
from collections.abc import Sequence

from detection.exporters.types import Category

# What one system or another does not allow in the name of a folder.
_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
# Letters, and bytes: a letter may take up to four.
_LONGEST, _LONGEST_BYTES = 100, 200


def folder_names(categories: Sequence[Category]) -> dict[int, str]:
    """Name a folder for each category, by its id: its own name where that may be one, and no other has it in any case.

    >>> folder_names([Category(id=1, name="a/b", content={}), Category(id=2, name="A_B", content={})])
    {1: 'a_b', 2: 'A_B_2'}
    """
    wished = {
        category.id: _cut(_FORBIDDEN.sub("_", category.name)).rstrip(" .").lstrip(" ") or "_" for category in categories
    }
    names: dict[int, str] = {}
    taken: set[str] = set()
    for number, wish in wished.items():
        name = wish
        if name.startswith(".") or name.casefold() in taken:
            name = f"{name.lstrip('.')}_{number}"
            others = taken | {other.casefold() for other in wished.values()}
            while name.casefold() in others:
                name = f"{name}_{number}"
        taken.add(name.casefold())
        names[number] = name
    return names


def _cut(name: str) -> str:
    return name[:_LONGEST].encode(errors="replace")[:_LONGEST_BYTES].decode(errors="ignore")
