"""Measurements of speed. Run them on a machine that does nothing else; see the README beside this file."""
