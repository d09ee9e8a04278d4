"""The samplers, as generators over (model, x, sigmas, noise). Free of torch: tensors are used through operators only."""
