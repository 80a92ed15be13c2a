"""Every call is in the ledger once, with the right charge, and the wallet agrees to the nano-dollar."""

import time

import openai
import pytest
from conftest import FUNDS, sdk
from harness.gateway import Account, Gateway
from harness.money import Prices, amount, total

MESSAGES = [{"role": "user", "content": "How much is this?"}]
# The contract: the columns of a usage record, in order.
COLUMNS = (
    "id created_at account key_id model requested_model protocol operation stream status error_code finish usage usage_source"
    " charge sources price_row_ids catalog_rev latency_ms first_content_ms attempts losses client_request_id"
).split()
OPERATORS_ONLY = {"channel", "provider", "cost", "upstream_request_id"}


def raw(client: openai.OpenAI, model: str = "demo", **more):
    return client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES, **more)


def wallet_agrees(account: Account) -> None:
    wallet = account.wallet()
    assert wallet["account"] == account.id
    spent = total(row["charge"] for row in account.usage())
    assert amount(wallet["posted"]) == amount(FUNDS) - spent
    assert (wallet["pending"], wallet["available"]) == ("0", wallet["posted"])


def test_a_whole_answer_says_its_charge_and_the_ledger_agrees(client, account):
    response = raw(client)
    charge, call = response.headers["x-qingwave-charge"], response.headers["x-request-id"]
    usage = response.parse().usage.model_dump()
    assert call.startswith("call-")
    assert amount(charge) == Prices("demo").charge(usage) > 0
    (row,) = account.usage()
    assert (row["id"], row["charge"], row["status"], row["stream"]) == (call, charge, 200, False)
    assert (row["account"], row["key_id"]) == (account.id, account.key_id)
    assert (row["model"], row["requested_model"], row["protocol"], row["operation"]) == ("demo", "demo", "openai.chat", "chat")
    assert (row["finish"], row["error_code"], row["attempts"]) == ("stop", None, 1)
    assert row["usage_source"] == "reported"
    assert row["usage"] == {
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "requests": 1,
    }
    assert total(source["amount"] for source in row["sources"]) == amount(charge)
    assert row["price_row_ids"] and row["catalog_rev"]
    assert abs(row["created_at"] - time.time() * 1000) < 600_000, "Unix milliseconds"
    assert not OPERATORS_ONLY & set(row), "channel, provider and cost are for operators"
    wallet_agrees(account)


def test_a_stream_is_charged_by_its_usage(client, account):
    response = raw(client, stream=True, stream_options={"include_usage": True})
    *_, last = response.parse()
    (row,) = account.usage()
    assert row["id"] == response.headers["x-request-id"] and row["stream"] is True
    assert amount(row["charge"]) == Prices("demo").charge(last.usage.model_dump()) > 0
    wallet_agrees(account)


def test_a_stream_that_did_not_ask_for_usage_costs_the_same(client, account):
    asked, not_asked = raw(client, stream=True, stream_options={"include_usage": True}), raw(client, stream=True)
    assert list(asked.parse()) and list(not_asked.parse())
    charges = {row["charge"] for row in account.usage()}
    assert len(charges) == 1 and amount(charges.pop()) > 0


def test_one_row_for_each_call(client, account):
    charges = {}
    for model in ("demo", "demo-fixed", "demo-failover", "gpt-4o"):
        whole = raw(client, model)
        charges[whole.headers["x-request-id"]] = whole.headers["x-qingwave-charge"]
    for model in ("demo-fault-400", "demo-fault-500", "demo-fault-refuse"):
        with pytest.raises(openai.APIStatusError) as raised:
            raw(client, model)
        charges[raised.value.response.headers["x-request-id"]] = "0"
    rows = account.usage()
    assert len(rows) == len(charges)
    assert {row["id"]: row["charge"] for row in rows} == charges
    assert [row["id"] for row in rows] == list(charges)[::-1], "newest first"
    assert next(row for row in rows if row["model"] == "demo-failover")["attempts"] == 4
    wallet_agrees(account)


@pytest.mark.parametrize("model", ["demo-fault-cut", "demo-fault-reset-after", "demo-fault-error-in-200"])
def test_a_failed_stream_is_not_charged(client, account, model):
    with pytest.raises(openai.APIError):
        list(raw(client, model, stream=True).parse())
    (row,) = account.usage()
    assert row["charge"] == "0" and row["error_code"]
    wallet_agrees(account)


def test_what_the_upstream_did_not_count_is_estimated(client, account):
    response = raw(client, "demo-fault-no-usage")
    (row,) = account.usage()
    assert row["usage_source"] == "estimated"
    assert row["charge"] == response.headers["x-qingwave-charge"] and amount(row["charge"]) > 0


def test_an_abandoned_stream_leaves_no_hold(client, account):
    with client.chat.completions.create(model="demo-fault-slow-events", messages=MESSAGES, stream=True) as stream:
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
    deadline = time.monotonic() + 20
    while not (rows := account.usage()) and time.monotonic() < deadline:
        time.sleep(0.02)
    (row,) = rows
    assert row["usage_source"] in ("counted", "reported") and amount(row["charge"]) > 0
    wallet_agrees(account)


def test_pages_and_filters(client, account):
    for _ in range(7):
        raw(client)
    raw(client, "demo-fixed")
    first = account.get("/v1/usage?limit=3").ok().json()
    assert len(first["data"]) == 3 and first["next_cursor"]
    every = account.usage(limit=3)
    assert len(every) == len({row["id"] for row in every}) == 8
    assert every == account.usage()
    assert [row["model"] for row in account.usage(model="demo-fixed")] == ["demo-fixed"]
    assert len(account.usage(key=account.key_id)) == 8 and account.usage(key="key-none") == []
    assert len(account.usage(status=200)) == 8 and account.usage(status=500) == []
    oldest = every[-1]["created_at"]
    assert len(account.usage(**{"from": oldest})) == 8 and account.usage(to=oldest) == []


def test_the_csv_is_the_same_ledger(client, account):
    for model in ("demo", "demo-fixed", "demo"):
        raw(client, model)
    lines = account.usage_csv()
    rows = account.usage()
    assert list(lines[0]) == COLUMNS
    assert {line["id"]: line["charge"] for line in lines} == {row["id"]: row["charge"] for row in rows}
    assert len(lines) == len(rows) == 3
    assert all(line["created_at"].endswith("Z") and line["created_at"][10] == "T" for line in lines), "RFC 3339 in UTC"


def test_another_account_sees_nothing(client, account, gateway: Gateway):
    raw(client)
    other = gateway.account("1")
    assert other.usage() == [] and other.usage_csv() == []
    assert other.usage(key=account.key_id) == []


def test_an_operator_sees_the_whole_call(client, account, gateway: Gateway):
    call = raw(client, "demo-failover").headers["x-request-id"]
    row = gateway.admin("GET", f"/admin/calls/{call}").ok().json()
    assert row["id"] == call and row["channel"] and row["provider"]
    amount(row["cost"])


def test_a_clients_own_request_id_is_kept_beside_ours(client, account):
    response = raw(client, extra_headers={"x-request-id": "mine-1"})
    assert response.headers["x-request-id"].startswith("call-")
    assert account.usage()[0]["client_request_id"] == "mine-1"


def test_a_revoked_key_is_refused_within_a_second(gateway: Gateway):
    account = gateway.account("1")
    with sdk(account) as client:
        raw(client)
        gateway.admin("DELETE", f"/admin/keys/{account.key_id}").ok()
        revoked = time.monotonic()
        while True:
            try:
                raw(client)
            except openai.AuthenticationError as error:
                assert error.code == "key_revoked"
                break
            assert time.monotonic() - revoked < 1, "still served a second after its revocation"


def test_funding_twice_with_one_key_funds_once(gateway: Gateway):
    account = gateway.account("1")
    body = {"amount": "2.5", "idempotency_key": "order-1"}
    for _ in range(2):
        gateway.admin("POST", f"/admin/accounts/{account.id}/fund", body).ok()
    assert account.wallet()["posted"] == "3.5"
