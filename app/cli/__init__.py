"""The command line: `python -m app txt2img --prompt ... -o out.png`."""
