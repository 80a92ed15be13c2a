"""One gateway for all tests; an account of its own for each, so that its ledger holds exactly that test's calls."""

import sys
from pathlib import Path

import openai
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.gateway import Account, Gateway, raise_open_files

FUNDS = "1000"


@pytest.fixture(scope="session")
def gateway():
    raise_open_files()
    with Gateway() as running:
        yield running
        running.verify()


@pytest.fixture
def account(gateway: Gateway) -> Account:
    return gateway.account(FUNDS)


@pytest.fixture
def client(account: Account):
    """The official SDK as a user makes it, but that it must not retry: each call of a test is one call of the ledger."""
    with sdk(account) as made:
        yield made


def sdk(account: Account, kind=openai.OpenAI):
    return kind(base_url=account.gateway.base_url + "/v1", api_key=account.key, max_retries=0, timeout=60)
