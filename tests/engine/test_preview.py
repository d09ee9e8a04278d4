import threading

import numpy as np
import torch

from app.engine.preview import SD1, Preview


def patches(latents):
    """A decoder that a preview can imitate exactly: every latent becomes an 8x8 patch of one colour."""
    mix = torch.tensor([[0.3, 0.1, 0.0, 0.0], [0.0, 0.3, 0.1, 0.0], [0.0, 0.0, 0.3, 0.1]])
    colours = torch.einsum("ci,bihw->bchw", mix, latents) + torch.tensor([0.1, -0.2, 0.0]).view(1, 3, 1, 1)
    return colours.repeat_interleave(8, 2).repeat_interleave(8, 3)


def test_a_fitted_preview_comes_near_its_decoder():
    latents = torch.randn(1, 4, 6, 10, generator=torch.Generator().manual_seed(1)) * 0.5
    shown = np.asarray(Preview.fitted(patches)(latents)).astype(float)
    wanted = ((patches(latents)[0].permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).numpy()
    assert shown.shape == (48, 80, 3) and np.abs(shown - wanted).mean() < 1


def test_a_decoder_that_fails_gives_the_known_colours():
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    broken = Preview.fitted(lambda given: patches(given) * float("nan"))
    assert np.array_equal(np.asarray(broken(latents)), np.asarray(Preview.of(SD1)(latents)))


def test_the_known_colours():
    image = np.asarray(Preview.of(SD1)(torch.tensor([1.0, 0, 0, 0]).view(1, 4, 1, 1).expand(1, 4, 64, 64)))
    assert image.shape == (512, 512, 3) and tuple(image[200, 200]) == (165, 153, 154)


def test_batches_stand_in_a_grid_and_large_pictures_are_made_small():
    preview = Preview.fitted(patches)
    assert preview(torch.zeros(3, 4, 8, 8)).size == (128, 128)
    assert preview(torch.zeros(1, 4, 128, 96)).size == (384, 512)
    assert preview(torch.full((1, 4, 8, 8), float("nan"))).size == (64, 64)


def test_from_many_threads_at_once():
    preview, latents, shown = Preview.fitted(patches), torch.randn(2, 4, 8, 8), []
    threads = [threading.Thread(target=lambda: shown.append(np.asarray(preview(latents)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shown) == 8 and all(np.array_equal(shown[0], other) for other in shown)
