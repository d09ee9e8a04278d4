"""The HTTP side: who may come in (`guard`, `door`, `owner`), and the /v1 routes over `Studio`."""
