"""The only stage that needs a graphics card: backgrounds, then objects in boxes, stitched.

Nothing is imported here, so that the pure parts (crops, masks, blenders) load without torch.
"""
