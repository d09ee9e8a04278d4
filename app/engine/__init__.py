"""Models and pictures: the only package that knows torch, diffusers and transformers.

Nothing here asks a hub: everything comes from files that the user or the project put there. The switches below are
read by the libraries when they are imported, so they are set before any module of this package can import them.
"""

import os

for _switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DIFFUSERS_DISABLE_REMOTE_CODE"):
    os.environ[_switch] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
