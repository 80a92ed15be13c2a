"""A small HTTP/1.1 client on raw asyncio streams: many calls at once, one kept-alive connection each, and an exact answer to
"was this complete at the client?". It is its own, since a library that retries or buffers would blur that."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

PATH = "/v1/chat/completions"
LINE_BYTES_MAX = 1 << 20
DONE = b"\ndata: [DONE]\n"


class Broken(Exception):
    """The connection ended before the answer did."""


@dataclass
class Answer:
    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    # The protocol's end was seen: all of content-length, or the stream's end mark.
    complete: bool = False

    @property
    def id(self) -> str | None:
        return self.headers.get("x-request-id")

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def json(self):
        return json.loads(self.body)

    def events(self) -> list[dict]:
        """The JSON of every event but the end mark."""
        lines = (line for line in self.body.split(b"\n") if line.startswith(b"data:"))
        return [json.loads(line[5:]) for line in lines if line[5:].strip() != b"[DONE]"]

    def usage(self) -> dict | None:
        """The usage object, of a whole answer or of a stream that was asked for it."""
        objects = self.events() if self.is_stream else [self.json()]
        return next((o["usage"] for o in reversed(objects) if o.get("usage")), None)


def chat(model: str, text: str, *, stream: bool = False, include_usage: bool = True, **more) -> bytes:
    """The body of a chat call."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    if stream:
        body["stream"] = True
        if include_usage:
            body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


class Connection:
    """One client connection. Dials when needed; a broken one is dialled anew by the next call."""

    def __init__(self, host: str, port: int, key: str):
        self.host, self.port, self.key = host, port, key
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def dial(self) -> None:
        if self.writer is None:
            opened = asyncio.open_connection(self.host, self.port, limit=LINE_BYTES_MAX)
            self.reader, self.writer = await opened

    def close(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
            self.reader = self.writer = None

    async def call(
        self, body: bytes, *, leave_after: int | None = None, on_head: Callable[[], None] = lambda: None
    ) -> Answer:
        """Posts a call. What came is in the answer also when it broke; `complete` says which. With `leave_after` the client
        hangs up once that many body bytes have come; `on_head` runs when the answer's head has."""
        answer = Answer()
        try:
            await self.dial()
            self.writer.write(
                f"POST {PATH} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\nauthorization: Bearer {self.key}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
            )
            await self._read(answer, leave_after, on_head)
        except (Broken, OSError, EOFError, asyncio.LimitOverrunError):
            self.close()
        except asyncio.CancelledError:
            self.close()
            raise
        return answer

    async def _read(self, answer: Answer, leave_after: int | None, on_head: Callable[[], None]) -> None:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        answer.status = int(head[0].split(" ", 2)[1])
        answer.headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
        on_head()
        pieces: list[bytes] = []
        try:
            async for piece in self._pieces(answer.headers):
                pieces.append(piece)
                if leave_after is not None and sum(map(len, pieces)) >= leave_after:
                    raise Broken
            answer.complete = not answer.is_stream
        finally:
            answer.body = b"".join(pieces)
            # A stream is complete with its end mark, whatever happens to the connection after it.
            if answer.is_stream and DONE in answer.body:
                answer.complete = True
        if answer.headers.get("connection", "").lower() == "close":
            self.close()

    async def _pieces(self, headers: dict):
        if "content-length" in headers:
            yield await self.reader.readexactly(int(headers["content-length"]))
            return
        if headers.get("transfer-encoding", "").lower() != "chunked":
            raise Broken("neither content-length nor chunked")
        while True:
            size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
            piece = await self.reader.readexactly(size + 2)
            if size == 0:
                return
            yield piece[:-2]
