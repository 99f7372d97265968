"""Figures for what was found against labels: mistakes, masks, and how much of a difference is luck."""
