"""What was painted: boxes, masks, and the verdicts on them."""
