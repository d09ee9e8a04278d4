"""The browser's side. The only package that imports Gradio."""

from app.ui.build import build, page_options

__all__ = ["build", "page_options"]
