"""What fails is raised as the SDK's own exception with the upstream's words, and a stream that breaks never ends in silence."""

import pytest
from conftest import PROTOCOLS
from harness.gateway import Account, Gateway
from sdk import STREAM, WHOLE, Ask, Driver, SdkError
from sdk.drivers import drivers

# The model, the status that reaches the client, and a part of the message.
FAULTS = {
    "demo-fault-401": (502, ""),  # Our key was refused, not the client's: never a 401.
    "demo-fault-529": (529, "demo upstream"),
    "demo-fault-refuse": (502, ""),
    "demo-unheard-of": (404, "demo"),
} | {f"fault-{status}-{protocol}": (status, "demo upstream") for status in (400, 429, 500, 503) for protocol in PROTOCOLS}
# Overloaded: each protocol has one status for it. In its own protocol the upstream's answer passes as it came.
OVERLOADED = {"openai.chat": 503, "openai.responses": 503, "anthropic.messages": 529, "gemini.generate": 503}
BREAKS = ("cut", "cut-late", "closed", "reset", "error")


def ids(driver: type[Driver]) -> str:
    return driver.name.replace(" ", "_")


@pytest.fixture
def driver(account: Account, driver_type: type[Driver]):
    made = driver_type(account.gateway.base_url, account.key)
    yield made
    made.close()


def is_raised_as(driver: Driver, status: int, error: SdkError) -> None:
    if driver.kinds:
        assert (error.kind, error.status) == (driver.kinds[status], status), error


every_driver = pytest.mark.parametrize("driver_type", drivers(), ids=ids)


@every_driver
@pytest.mark.parametrize("mode", [WHOLE, STREAM])
@pytest.mark.parametrize("model", FAULTS)
def test_a_fault_is_the_sdks_exception(driver, model, mode):
    status, words = FAULTS[model]
    upstream = PROTOCOLS.get(model.split("-")[-1], "openai.chat")
    if status in (503, 529) and upstream != driver.protocol:
        status = OVERLOADED[driver.protocol]
    with pytest.raises(SdkError) as raised:
        driver.ask(Ask(model, mode=mode))
    is_raised_as(driver, status, raised.value)
    assert words in raised.value.message


@pytest.mark.parametrize("driver_type", drivers()[:4], ids=ids)
def test_silence_is_a_timeout(driver):
    """For the four protocols alone: each waits as long as the gateway does."""
    with pytest.raises(SdkError) as raised:
        driver.ask(Ask("demo-fault-hang"))
    is_raised_as(driver, 504, raised.value)


@every_driver
def test_a_wrong_key(gateway: Gateway, driver_type):
    driver = driver_type(gateway.base_url, "sk-qw-none")
    with pytest.raises(SdkError) as raised:
        driver.ask(Ask("demo"))
    driver.close()
    is_raised_as(driver, 401, raised.value)
    assert "sk-qw-none" not in raised.value.message


@every_driver
def test_no_money(gateway: Gateway, driver_type):
    account = gateway.account("0.000000001", policy="strict")
    driver = driver_type(gateway.base_url, account.key)
    with pytest.raises(SdkError) as raised:
        driver.ask(Ask("demo-fixed"))
    driver.close()
    is_raised_as(driver, 402, raised.value)
    assert "0.000000001" in raised.value.message, "it says what is there"


def streams():
    return [pytest.param(d, mode, id=f"{ids(d)}-{mode}") for d in drivers() for mode in d.modes if mode != WHOLE]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize(("driver_type", "mode"), streams())
def test_a_broken_stream_is_raised(driver, account: Account, mode, name, protocol):
    with pytest.raises(SdkError):
        driver.ask(Ask(f"fault-{name}-{protocol}", mode=mode))
    (row,) = account.usage()
    assert row["charge"] == "0" and row["error_code"]
