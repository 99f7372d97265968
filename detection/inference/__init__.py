"""Objects found in pictures by a trained detector, or by words: drawn, written as files, compared with labels."""
