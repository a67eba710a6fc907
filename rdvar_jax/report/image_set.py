"""Protocol of the images to draw."""

from typing import Any, Protocol


class Images(Protocol):
    """uint8 [N, H, W, 3]: an array, or any object that returns one image at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...
