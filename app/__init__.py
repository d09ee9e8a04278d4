"""Darkroom: a web UI for latent-diffusion images. Read `studio.py` first: it is the whole house on one page."""

__version__ = "0.1.0"
