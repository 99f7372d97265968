"""What every measured comparison stands on: jobs that can go on, intervals that hold the luck, pages that show both."""
