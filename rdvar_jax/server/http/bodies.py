"""Bodies of requests: bounded in size, in time, and all together in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from rdvar_jax.server.http.forms import FormError, read_form
from rdvar_jax.server.http.refusal import RETRY_SECONDS, Refusal
from rdvar_jax.server.judging.examined import Upload

MAX_UPLOAD_MB = 64.0
MOST_AT_ONCE = 4  # of the largest uploads, together in memory
LEAST_AT_ONCE = 1 << 28  # bytes together in memory, however small one may be
SECONDS_WITHOUT_DATA, SECONDS_IN_ALL = 10.0, 60.0
MAX_FIELDS = 16  # of a form, beside its files


class Bodies:
    """Reads bodies.

    Args:
        max_upload_mb: size of one, at most.
        idle_seconds: that a client may send nothing.
        seconds: that a body may take in all.
    """

    def __init__(
        self,
        max_upload_mb: float = MAX_UPLOAD_MB,
        idle_seconds: float = SECONDS_WITHOUT_DATA,
        seconds: float = SECONDS_IN_ALL,
    ):
        self._max_mb, self._max_bytes = max_upload_mb, int(max_upload_mb * 1e6)
        self._idle, self._seconds = idle_seconds, seconds
        self._free = max(MOST_AT_ONCE * self._max_bytes, LEAST_AT_ONCE)

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[bytes]:
        """Reads a body; its memory counts until the block ends.

        Raises:
            Refusal: it is too large, too slow, or there is no room for it.
        """
        taken, chunks = 0, list[bytes]()
        try:
            length = request.headers.get("content-length", "")
            if length.isdigit() and int(length) > self._max_bytes:
                raise self._too_large()
            async for chunk in self._chunks(request):
                taken += len(chunk)
                self._free -= len(chunk)
                if taken > self._max_bytes:
                    raise self._too_large()
                if self._free < 0:
                    raise Refusal(
                        503,
                        "Too many uploads arrive at once; send the image again in a moment.",
                        {"Retry-After": str(RETRY_SECONDS), "Connection": "close"},
                    )
                chunks.append(chunk)
            body = b"".join(chunks)
            chunks.clear()
            yield body
        finally:
            self._free += taken

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        end = asyncio.get_running_loop().time() + self._seconds
        stream = request.stream()
        while True:
            now = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(min(self._idle, end - now)):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Refusal(
                    408,
                    f"The body did not arrive in time ({self._idle:g} s without data, or "
                    f"{self._seconds:g} s in all); send it again.",
                    {"Connection": "close"},
                ) from None
            yield chunk

    def _too_large(self) -> Refusal:
        # The rest is not read, so the connection cannot be used again.
        return Refusal(
            413,
            f"The body is larger than {self._max_mb:g} MB; send a smaller image, or start rdvar "
            "serve with a higher --max_upload_mb.",
            {"Connection": "close"},
        )


def read_uploads(request: Request, body: bytes, most: int) -> list[Upload]:
    """Returns the images of a body: itself, or the files of a form, whatever their fields.

    Args:
        request: its content type says which; its query may have the `name` of a single image.
        body: of the request.
        most: images of one request.

    Raises:
        Refusal: there is none, there are more, or the form is damaged.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        if not body:
            raise _no_image()
        return [Upload.of(request.query_params.get("name", ""), body)]
    try:
        files = read_form(content_type, body, most + MAX_FIELDS)
    except FormError as error:
        raise Refusal(
            400,
            f"The form cannot be read, because {error}; send each image as a file of "
            "multipart/form-data, as curl -F file=@a.png does.",
        ) from error
    if not files:
        raise _no_image()
    if len(files) > most:
        raise Refusal(
            400, f"One request may have {most} images, and this one has {len(files)}; send fewer."
        )
    return [Upload.of(name, content) for name, content in files]


def _no_image() -> Refusal:
    return Refusal(
        400,
        "The request has no image; send one as the body, or as a file of multipart/form-data.",
    )
