"""Boxes and masks proposed for photos that nobody has labelled yet, for a person to correct."""
