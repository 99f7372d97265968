"""Painters that learn a user's objects from labelled photos: what they are shown, how they learn, what they gained."""
