"""Until every area has moved on to run_folder.py."""

from generator.foundation.run_folder import IMPORTED, PAINTED, add_kind, kind_of

__all__ = ["IMPORTED", "PAINTED", "add_kind", "kind_of"]
