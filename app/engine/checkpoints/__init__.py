"""Model files: where they are, what they are, and how they become networks."""
