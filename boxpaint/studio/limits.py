"""What a page takes: limits that keep one photo from filling the memory of the server."""

from __future__ import annotations

MAX_MEGABYTES, MAX_PIXELS = 20, 24_000_000
# Photos are made smaller until their longer side has so many pixels, and of more objects the surest are kept.
MAX_SIDE_PX, MAX_OBJECTS = 2048, 50
