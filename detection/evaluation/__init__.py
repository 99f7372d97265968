"""What a detector is worth on a data set: figures, curves, the worst pictures, resampled scores."""
