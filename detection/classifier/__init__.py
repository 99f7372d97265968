"""A classifier of crops, trained with and without painted ones under the same budget, and what the painted ones add."""
