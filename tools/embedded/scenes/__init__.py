"""Procedural scenes: what is in a picture (grammar), what is said about it (captions), how it is drawn."""
