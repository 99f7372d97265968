"""What the user asks for: CSV files and calibration, read and checked."""
