"""Until every area has moved on to run_folder.py and storage.py."""

from generator.foundation.storage import read_json

__all__ = ["read_json"]
