"""What each SDK has beside the conversation: models, counts, embeddings."""

import base64
import struct

import pytest
from harness.gateway import Account
from sdk import Driver
from sdk.drivers import drivers
from test_matrix import MODELS

PROMPT = "How many tokens are these words?"
EMBEDDER = "demo-embed"


def having(feature: str):
    found = [driver for driver in drivers() if feature in driver.can]
    return pytest.mark.parametrize("driver_type", found, ids=lambda driver: driver.name.replace(" ", "_"))


@pytest.fixture
def driver(account: Account, driver_type: type[Driver]):
    made = driver_type(account.gateway.base_url, account.key)
    yield made
    made.close()


@having("models")
def test_models(driver):
    assert set(MODELS) <= set(driver.models())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("driver_type", [d for d in drivers() if d.name in ("openai chat", "anthropic")], ids=lambda d: d.name)
def test_the_request_id_that_the_sdk_tells_is_the_ledgers(driver, account, model):
    hello = [{"role": "user", "content": "hello"}]
    if driver.package == "openai":
        told = driver.client.chat.completions.create(model=model, messages=hello)._request_id
    else:
        told = driver.client.messages.create(model=model, messages=hello, max_tokens=99)._request_id
    assert told == account.usage()[0]["id"]


@having("count")
@pytest.mark.parametrize("model", MODELS)
def test_tokens_are_counted(driver, account, model):
    assert 4 <= driver.count(model, PROMPT) <= 40
    assert account.wallet()["posted"] == account.wallet()["available"] == "1000", "counting is free"


@having("embed")
def test_embeddings(driver):
    two = driver.embed(EMBEDDER, ["a ledger", "a wallet"])
    assert len(two) == 2 and len(two[0]) == len(two[1]) > 0 and two[0] != two[1]
    (one,) = driver.embed(EMBEDDER, ["a ledger"])
    assert one == pytest.approx(two[0], abs=1e-6)
    assert all(isinstance(number, float | int) for number in one)


@pytest.mark.parametrize("driver_type", [d for d in drivers() if d.package == "openai" and "embed" in d.can], ids=lambda d: d.name)
def test_embeddings_in_either_encoding(driver):
    """The SDKs ask for base64 unless told otherwise, and read it back."""
    asked = {form: driver.embed(EMBEDDER, ["a ledger"], encoding_format=form) for form in ("float", "base64")}
    (numbers,), (text,) = asked.values()
    read = text if isinstance(text, list) else struct.unpack(f"<{len(numbers)}f", base64.b64decode(text))
    assert numbers == pytest.approx(list(read), abs=1e-6)
