"""Colours, type and spacing of the page: neutral greys, one safelight amber, fonts of the system only."""

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace")
AMBER = gr.themes.Color("#fff8ed", "#feeed3", "#fcdca6", "#f9c36e", "#f5a53a", "#ef8a17", "#c96a0c", "#9c4f0b", "#7d4010", "#673610", "#3a1b05")
STONE = gr.themes.Color("#faf9f7", "#f3f1ed", "#e6e3dd", "#d3cfc7", "#a8a39a", "#7a756d", "#59554f", "#3b3835", "#262422", "#1a1918", "#121110")


SURFACES = {
    "body_background_fill": "#f6f4f0",
    "body_background_fill_dark": "#131211",
    "body_text_color": "#23211f",
    "body_text_color_dark": "#e9e5df",
    "body_text_color_subdued": "#6a655d",
    "body_text_color_subdued_dark": "#a09a90",
    "background_fill_primary": "#fffdfa",
    "background_fill_primary_dark": "#1b1a18",
    "background_fill_secondary": "#f1eee8",
    "background_fill_secondary_dark": "#161513",
    "block_background_fill": "#fffdfa",
    "block_background_fill_dark": "#1b1a18",
    "block_border_color": "#e2ded6",
    "block_border_color_dark": "#2c2a27",
    "border_color_primary": "#d9d4ca",
    "border_color_primary_dark": "#34312d",
    "block_label_text_color": "#57524b",
    "block_label_text_color_dark": "#b8b1a6",
    "block_title_text_color": "#3b3733",
    "block_title_text_color_dark": "#d3ccc1",
    "block_title_text_weight": "500",
    "block_info_text_color": "#6a655d",
    "block_info_text_color_dark": "#a09a90",
    "block_shadow": "none",
    "input_background_fill": "#ffffff",
    "input_background_fill_dark": "#121110",
    "input_border_color": "#cfc9be",
    "input_border_color_dark": "#3a3733",
    "input_border_color_focus": "#c96a0c",
    "input_border_color_focus_dark": "#f5a53a",
    "input_border_width": "1px",
    "input_border_width_dark": "1px",
    "input_shadow_focus": "0 0 0 3px #ef8a1733",
    "button_primary_background_fill": "#b45309",
    "button_primary_background_fill_dark": "#f0a030",
    "button_primary_background_fill_hover": "#9a4507",
    "button_primary_background_fill_hover_dark": "#ffb54d",
    "button_primary_text_color": "#ffffff",
    "button_primary_text_color_dark": "#1a1203",
    "button_secondary_background_fill": "#ebe7df",
    "button_secondary_background_fill_dark": "#2a2825",
    "button_secondary_background_fill_hover": "#dfdad0",
    "button_secondary_background_fill_hover_dark": "#35322e",
    "button_secondary_text_color": "#2f2c28",
    "button_secondary_text_color_dark": "#e9e5df",
    "slider_color": "#c96a0c",
    "slider_color_dark": "#f0a030",
    "checkbox_background_color_selected": "#b45309",
    "checkbox_background_color_selected_dark": "#f0a030",
    "checkbox_border_color_selected": "#b45309",
    "checkbox_border_color_selected_dark": "#f0a030",
    "checkbox_label_background_fill_selected": "#fdf0dc",
    "checkbox_label_background_fill_selected_dark": "#332410",
    "checkbox_label_text_color_selected": "#5c2f06",
    "checkbox_label_text_color_selected_dark": "#ffd9a0",
    "color_accent_soft": "#fdf0dc",
    "color_accent_soft_dark": "#332410",
    "link_text_color": "#9a4507",
    "link_text_color_dark": "#f5b453",
}
"""Gradio's names of the page's surfaces; "_dark" by night."""


def theme() -> gr.themes.Base:
    """Paper by day, darkroom by night."""
    base = gr.themes.Base(
        primary_hue=AMBER,
        secondary_hue=STONE,
        neutral_hue=STONE,
        text_size=gr.themes.sizes.text_md,
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.sizes.radius_md,
        font=[gr.themes.Font(name) for name in SANS],
        font_mono=[gr.themes.Font(name) for name in MONO],
    )
    return base.set(**SURFACES)
