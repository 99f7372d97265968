"""Painted labels brought into the convention of real ones: how large people draw their boxes around the same object."""
