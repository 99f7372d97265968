"""The version, read from the installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("boxpaint")
except PackageNotFoundError:  # a checkout on the path without an install
    __version__ = "0+unknown"
