"""Training kit of the embedded checkpoints: scene renderer, tokenizer, models, training and export."""
