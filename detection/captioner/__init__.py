"""Fine-tuning of the captioner (BLIP) on pictures with captions of one's own."""
