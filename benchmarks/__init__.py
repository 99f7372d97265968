"""Speed, memory and quality as tables that anyone can run again: python -m benchmarks.NAME."""
