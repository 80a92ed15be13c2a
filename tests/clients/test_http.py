"""The wire itself: credentials, limits, methods, HTTP/2 in clear text, and names that are no names."""

import asyncio
import json
import random
import socket
import threading

import httpx
import pytest
from harness.gateway import Account, Gateway, call

PATH = "/v1/chat/completions"
BODY = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
MIB = 1 << 20
BODY_BYTES_MAX = 32 * MIB


def post(account: Account, **more):
    return httpx.post(account.gateway.base_url + PATH, timeout=60, trust_env=False, **more)


def bearer(account: Account) -> dict:
    return {"authorization": f"Bearer {account.key}"}


def code_of(response) -> str:
    return response.json()["error"]["code"]


def big_body(size: int, model: str) -> bytes:
    """A chat call with an image of about this many bytes, its model named last."""
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * size}}
    content = [{"type": "text", "text": "what is in this picture?"}, part]
    return json.dumps({"messages": [{"role": "user", "content": content}], "max_tokens": 64, "model": model}).encode()


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-goog-api-key"])
def test_a_key_may_come_in_any_header(account, header):
    value = f"Bearer {account.key}" if header == "authorization" else account.key
    assert post(account, json=BODY, headers={header: value}).status_code == 200


def test_a_key_may_come_in_the_query_and_goes_nowhere(account, gateway: Gateway):
    assert post(account, json=BODY, params={"key": account.key}).status_code == 200
    assert account.key not in json.dumps(gateway.admin("GET", "/admin/demo").ok().json())


def test_no_credential_of_the_client_reaches_the_upstream(account, gateway: Gateway):
    secrets = {"x-api-key": account.key, "cookie": "session=canary", "x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9"}
    assert post(account, json=BODY, headers={**bearer(account), **secrets}).status_code == 200
    seen = json.dumps(gateway.admin("GET", "/admin/demo").ok().json()["last"])
    assert not any(secret in seen for secret in (account.key, "canary", "203.0.113.9"))


def test_without_a_key(account):
    response = post(account, json=BODY)
    assert (response.status_code, code_of(response)) == (401, "invalid_api_key")


def test_models_are_public(gateway: Gateway):
    assert call("GET", gateway.base_url + "/v1/models").status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_names_the_right_one(account, method):
    response = httpx.request(method, account.gateway.base_url + PATH, headers=bearer(account), trust_env=False)
    assert response.status_code == 405 and response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/v1/chat/completions/", "//v1/chat/completions"])
def test_an_unknown_path(account, path):
    response = httpx.post(account.gateway.base_url + path, json=BODY, headers=bearer(account), trust_env=False)
    assert (response.status_code, code_of(response)) == (404, "path_not_found")


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate, gzip"])
def test_a_compressed_request_is_refused(account, encoding):
    response = post(account, json=BODY, headers={**bearer(account), "content-encoding": encoding})
    assert (response.status_code, code_of(response)) == (415, "unsupported_encoding")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"model":7}', b'{"messages":[]}', b"\xff\xfe"])
def test_a_body_that_is_no_call(account, body):
    response = post(account, content=body, headers={**bearer(account), "content-type": "application/json"})
    assert (response.status_code, code_of(response)) == (400, "invalid_request")
    assert account.wallet()["pending"] == "0"


def raw_post(account: Account, head: str, pieces) -> bytes:
    """Sends a head and then pieces for as long as they are taken, and reads all the while."""
    gateway = account.gateway
    with socket.create_connection((gateway.host, gateway.port), timeout=60) as sock:
        sock.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {account.key}\r\nconnection: close\r\n{head}\r\n\r\n".encode())

        def send() -> None:
            try:
                for piece in pieces:
                    sock.sendall(piece)
            except OSError:
                pass  # Refused early, as it should be.

        sender = threading.Thread(target=send)
        sender.start()
        answer = b""
        try:
            while piece := sock.recv(65536):
                answer += piece
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # Closed with bytes of ours unread: what was read before stands.
        sender.join()
        return answer


def test_a_body_over_the_limit_is_refused_unread(account):
    answer = raw_post(account, f"content-length: {BODY_BYTES_MAX + 1}", [])
    assert answer.startswith(b"HTTP/1.1 413 ") and b"body_too_large" in answer


def test_a_chunked_body_over_the_limit_is_refused(account):
    chunk = b"%x\r\n" % MIB + b"x" * MIB + b"\r\n"
    answer = raw_post(account, "transfer-encoding: chunked", (chunk for _ in range(40)))
    assert answer.startswith(b"HTTP/1.1 413 ") and b"body_too_large" in answer


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "h2c"])
def test_30_mib_through_the_failover_chain(account, http2):
    """Refused, 503, stalled, good: one right answer, one charge."""
    with httpx.Client(http1=not http2, http2=http2, timeout=120, trust_env=False) as client:
        response = client.post(account.gateway.base_url + PATH, content=big_body(30 * MIB, "demo-failover"), headers=bearer(account))
    assert response.status_code == 200, response.text
    assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert "what is in this picture?" in response.json()["choices"][0]["message"]["content"]
    (row,) = account.usage()
    assert (row["id"], row["charge"]) == (response.headers["x-request-id"], response.headers["x-qingwave-charge"])
    assert row["attempts"] == 4 and account.wallet()["pending"] == "0"


def test_many_streams_on_one_h2c_connection(account):
    url, body = account.gateway.base_url + PATH, {**BODY, "stream": True}
    one_connection = httpx.Limits(max_connections=1)

    async def run() -> list[bytes]:
        async with httpx.AsyncClient(http1=False, http2=True, limits=one_connection, timeout=60, trust_env=False) as client:
            return await asyncio.gather(*(streamed(client) for _ in range(20)))

    async def streamed(client: httpx.AsyncClient) -> bytes:
        async with client.stream("POST", url, json=body, headers=bearer(account)) as stream:
            assert stream.status_code == 200 and stream.http_version == "HTTP/2"
            return await stream.aread()

    assert all(text.endswith(b"data: [DONE]\n\n") for text in asyncio.run(run()))
    assert len(account.usage()) == 20


def test_names_of_odd_bytes_never_hurt(account):
    """1,000 models of random bytes: not found or not valid, and the connection lives on."""
    rng = random.Random(5)
    alphabet = ["\\", '"', "/", "\\u0000", "\\ud800", "\x00", "\x1f", "%", "'", ";", "--", "dem", "é", "\u202e", "\U0001f600", " ", "\\n", "{", "}", "\xff"]
    with httpx.Client(timeout=60, trust_env=False) as client:
        for number in range(1000):
            name = "".join(rng.choices(alphabet, k=rng.randint(1, 12))).encode()
            if number % 3 == 0:
                name = rng.randbytes(rng.randint(1, 300))
            elif number % 3 == 1:
                name = json.dumps(name.decode("latin-1"))[1:-1].encode()
            body = b'{"model":"' + name + b'","messages":[{"role":"user","content":"x"}]}'
            response = client.post(account.gateway.base_url + PATH, content=body, headers=bearer(account))
            assert response.status_code in (400, 404), (response.status_code, body)
            assert code_of(response) in ("invalid_request", "model_not_found"), (response.text, body)
    assert account.wallet()["posted"] == "1000"


def test_health_and_metrics_are_open(account, gateway: Gateway):
    assert post(account, json=BODY, headers=bearer(account)).status_code == 200
    for path in ("/healthz", "/readyz"):
        assert call("GET", gateway.admin_url + path).status == 200
    # A counter by result shows once it has counted.
    gateway.admin("POST", "/admin/catalog/reload").ok()
    metrics = call("GET", gateway.admin_url + "/metrics").ok().body.decode()
    for name in (
        "requests_total", "request_seconds", "first_content_seconds", "overhead_seconds", "tokens_total",
        "charge_nano_usd_total", "cost_nano_usd_total", "attempts_total", "channel_state", "journal_lag_seconds",
        "journal_bytes", "catalog_reloads_total", "build_info",
    ):
        assert f"# TYPE qingwave_{name} " in metrics, name
    assert account.key not in metrics


@pytest.mark.parametrize("path", ["keys", "accounts", "catalog", "channels", "ledger/verify", "demo", "calls/call-0"])
def test_the_admin_routes_are_shut(gateway: Gateway, account, path):
    for key in (None, account.key, gateway.admin_key[:-1]):
        assert call("GET", f"{gateway.admin_url}/admin/{path}", key=key).status == 401
    assert call("GET", f"{gateway.base_url}/admin/{path}", key=gateway.admin_key).status == 404, "not on the public listener"
