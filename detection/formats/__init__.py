"""Layouts of data sets that other programs have: each read and written by one file, one line each in registry.py."""
