"""The tab "Styles": look at all styles, write your own into styles.csv, delete them again."""

from app.extensions import Tab, hook


def render(studio):
    import gradio as gr

    from app.api.owner import owner_of
    from app.errors import Refused
    from app.ui.handler import toasts

    def refuse_guests(request):
        if owner_of(request).guest:
            raise Refused("Guests cannot change styles.")

    def show(name):
        with toasts():
            style = studio.styles.get(name) if name else None
            return (style.name, style.prompt, style.negative_prompt) if style else ("", "", "")

    def save(name, prompt, negative_prompt, request: gr.Request):
        with toasts():
            refuse_guests(request)
            studio.styles.save(name, prompt, negative_prompt)
            return gr.Dropdown(choices=studio.styles.names(), value=name.strip())

    def delete(name, request: gr.Request):
        with toasts():
            refuse_guests(request)
            studio.styles.remove(name or "")
            return gr.Dropdown(choices=studio.styles.names(), value=None)

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Column(elem_id="style_editor"):
        pick = gr.Dropdown(studio.styles.names(), value=None, label="Style", info="Yours, from styles.csv, come first", elem_id="style_editor_pick")
        name = gr.Textbox(label="Name", max_lines=1, elem_id="style_editor_name")
        prompt = gr.Textbox(label="Prompt", lines=3, info="{prompt} stands for the prompt; without it the text is appended", elem_id="style_editor_prompt")
        negative = gr.Textbox(label="Negative prompt", lines=2, elem_id="style_editor_negative")
        with gr.Row():
            keep, remove = gr.Button("Save", variant="primary", elem_id="style_editor_save"), gr.Button("Delete", elem_id="style_editor_delete")
    pick.change(show, pick, [name, prompt, negative], **quiet)
    keep.click(save, [name, prompt, negative], pick, **quiet)
    remove.click(delete, name, pick, **quiet)


@hook
def register_tabs(tabs):
    tabs.append(Tab("Styles", render))
