"""Names that a folder of ours may have, wherever a person gives one that is not a path."""

from __future__ import annotations

import re

_FOLDER_NAME = re.compile(r"\w[\w .+-]*")


def folder_name_fault(name: str, *, longest: int = 100) -> str:
    """What is wrong with the name of a folder; empty where nothing is.

    >>> folder_name_fault("smears 2")
    ''
    """
    if _FOLDER_NAME.fullmatch(name) and len(name) <= longest and not name.endswith((".", " ")):
        return ""
    return (
        f"the name of a folder is needed: letters, digits, spaces, and any of . _ + - but in front, {longest} at most"
    )
