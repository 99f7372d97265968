"""Files inside tar archives, read where they lie: nothing is unpacked."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from detection.datasets.picture_names import portable_path

SUFFIX = ".tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Where the bytes of a file are in its archive."""

    archive: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """Read it; several threads may. Raises OSError."""
        with self.archive.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.size)


def members_of(archive: Path) -> dict[PurePosixPath, Member]:
    """List the files of a tar archive that is not compressed; none where it is something else, or torn.

    Of a name that comes twice the later file counts, as tar itself has it. Raises OSError.
    """
    found: dict[PurePosixPath, Member] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            for item in tar:
                path = portable_path(item.name)
                if item.isreg() and not any(part.startswith(".") for part in path.parts):
                    found[path] = Member(archive=archive, offset=item.offset_data, size=item.size)
    except tarfile.TarError:
        return {}
    return found
