"""Prompts: from text to what the network is told."""
