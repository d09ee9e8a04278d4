"""What of a request serves a checkpoint that is not the request's own: the refiner, and the one of a second pass."""

from collections.abc import Callable, Sequence

from app.engine.adapters.asked import Lora
from app.engine.checkpoints.find import Shelf
from app.engine.families import group_of, latents_of
from app.request import AnyRequest


class Shares:
    """The parts that a painter takes of a request.

    Args:
        request: as the painter has it; its checkpoint is the painter's.
        home: the checkpoint that the job's VAE, text encoder and prompt were chosen for.
    """

    def __init__(self, request: AnyRequest, home: str, shelf: Shelf) -> None:
        self.home = home
        self._request, self._shelf = request, shelf

    @property
    def vae(self) -> str:
        """The VAE that is asked for, unless it is for other latents."""
        return self._request.vae if self._alike(latents_of) else ""

    @property
    def text_encoder(self) -> str:
        """The text encoder that is asked for, unless it is for another kind of checkpoint."""
        return self._request.text_encoder if self._alike(group_of) else ""

    def loras(self, asked: Sequence[Lora]) -> list[Lora]:
        """The LoRAs of a prompt, but for those that are made for another of the job's checkpoints and not for this one."""
        names = {self.home, self._request.refiner_checkpoint, getattr(self._request, "hr_checkpoint", "")} - {"", self._request.checkpoint}
        theirs = {group_of(self._family(name)) for name in names} - {group_of(self._family(self._request.checkpoint))} if names else set()
        return [lora for lora in asked if group_of(lora.file.family) not in theirs]

    def _alike(self, kind: Callable[[str], str]) -> bool:
        own = self._request.checkpoint
        return own == self.home or kind(self._family(own)) == kind(self._family(self.home))

    def _family(self, checkpoint: str) -> str:
        return self._shelf.checkpoint(checkpoint).family
