"""The prompt book: for each row of the CSV files many different, faithful texts, made once and kept as JSON."""
