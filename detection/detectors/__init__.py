"""Detectors behind one small interface; see detection/detectors/types.py and the dict in registry.py."""
