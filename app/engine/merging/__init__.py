"""Checkpoints made of checkpoints, tensor by tensor: what is to be done is planned from headers alone, then streamed from file to file."""
