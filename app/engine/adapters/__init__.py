"""LoRA, LyCORIS and textual inversion: changes to a loaded model that undo themselves, bit for bit.

`asked.Lora` is what a prompt asks for; `apply.Adapters` puts networks into a model's weights; `plan` reads what a file changes, `names`
and `places` bring its names and the model's together, `methods` says how a change is computed; `steps` is for networks that act on
some steps alone. `embeddings` reads textual inversions. Only `asked`, `names` and `hashes` do without torch.
"""
