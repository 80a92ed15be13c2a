//! The commands about keys, accounts, wallets and the ledger: arguments → books → lines.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use serde_json::Value;

use super::books::{Absent, Books};
use super::print::{self, cell, pairs, table, time};
use super::{AccountsCommand, Failure, KeysCommand, LedgerCommand, Place, WalletCommand};
use crate::ledger::NewKey;

/// Asks the books, and shows the answer as JSON or as `human` makes it.
fn answer(
    place: &Place,
    absent: Absent,
    ask: impl FnOnce(&Books) -> Result<Value, Failure>,
    human: impl FnOnce(&Value) -> String,
) -> Result<Value, Failure> {
    let value = Books::with(&place.config()?, absent, ask)?;
    if place.json {
        print::json(&value)?;
    } else {
        print::out(&human(&value))?;
    }
    Ok(value)
}

pub fn keys(command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Create { account, name, models, policy, strict_parameters, expires, place } => {
            let models = (!models.is_empty()).then_some(models);
            let policy = policy.map(Into::into);
            let key = NewKey { account, name, models, policy, strict_parameters, expires_at_ms: expires };
            answer(&place, Absent::Refuse, |books| books.create_key(key), new_key)?;
            eprintln!("the key is shown this once: keep it");
        }
        KeysCommand::List { account, place } => {
            answer(&place, Absent::Refuse, |books| books.keys(account.as_deref()), key_table)?;
        }
        KeysCommand::Revoke { id, place } => {
            answer(
                &place,
                Absent::Refuse,
                |books| books.revoke_key(&id),
                |key| format!("{} is revoked since {}\n", cell(&key["id"]), time(&key["revoked_at"])),
            )?;
        }
    }
    Ok(())
}

fn new_key(key: &Value) -> String {
    pairs(&[
        ("key", cell(&key["key"])),
        ("id", cell(&key["id"])),
        ("account", cell(&key["account"])),
        ("models", all_models(&key["models"])),
        ("policy", cell(&key["policy"])),
        ("strict parameters", cell(&key["strict_parameters"])),
        ("expires", time(&key["expires_at"])),
    ])
}

fn all_models(models: &Value) -> String {
    if models.is_null() { "all".to_owned() } else { cell(models) }
}

fn key_table(keys: &Value) -> String {
    let row = |key: &Value| {
        let state = if key["revoked_at"].is_null() { "active" } else { "revoked" };
        vec![
            cell(&key["id"]),
            cell(&key["account"]),
            cell(&key["name"]),
            cell(&key["hint"]),
            state.to_owned(),
            cell(&key["policy"]),
            all_models(&key["models"]),
            time(&key["created_at"]),
            time(&key["expires_at"]),
        ]
    };
    table(&["ID", "ACCOUNT", "NAME", "KEY", "STATE", "POLICY", "MODELS", "CREATED", "EXPIRES"], &rows(keys, row))
}

fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list["data"].as_array().map(|items| items.iter().map(row).collect()).unwrap_or_default()
}

pub fn accounts(command: AccountsCommand) -> Result<(), Failure> {
    match command {
        AccountsCommand::Create { id, name, place } => {
            answer(
                &place,
                Absent::Make,
                |books| books.create_account(id.as_deref(), &name),
                |account| pairs(&[("id", cell(&account["id"])), ("name", cell(&account["name"]))]),
            )?;
        }
        AccountsCommand::List { place } => {
            answer(&place, Absent::Refuse, Books::accounts, |accounts| {
                let row = |a: &Value| vec![cell(&a["id"]), cell(&a["name"]), time(&a["created_at"])];
                table(&["ID", "NAME", "CREATED"], &rows(accounts, row))
            })?;
        }
    }
    Ok(())
}

pub fn wallet(command: WalletCommand) -> Result<(), Failure> {
    match command {
        WalletCommand::Show { account, place } => {
            answer(&place, Absent::Refuse, |books| books.wallet(&account), wallet_lines)?;
        }
        WalletCommand::Fund { account, amount, idempotency_key, place } => {
            let key = idempotency_key.unwrap_or_else(|| format!("cli-{}", uuid::Uuid::new_v4().simple()));
            if key.is_empty() || key.len() > 255 {
                return Err(Failure::Usage("--idempotency-key: expected 1 to 255 bytes".to_owned()));
            }
            answer(&place, Absent::Refuse, |books| books.fund(&account, amount, &key), wallet_lines)?;
            eprintln!("funded {amount} USD with idempotency key {key}");
        }
    }
    Ok(())
}

fn wallet_lines(wallet: &Value) -> String {
    let mut text = pairs(&[
        ("account", cell(&wallet["account"])),
        ("available", format!("{} USD", cell(&wallet["available"]))),
        ("pending", format!("{} USD", cell(&wallet["pending"]))),
        ("posted", format!("{} USD", cell(&wallet["posted"]))),
    ]);
    let tiers = wallet["tiers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !tiers.is_empty() {
        let row = |t: &Value| vec![cell(&t["tier"]), cell(&t["grant"]), cell(&t["amount"]), time(&t["expires_at"])];
        text.push('\n');
        text.push_str(&table(&["TIER", "GRANT", "USD", "EXPIRES"], &tiers.iter().map(row).collect::<Vec<_>>()));
    }
    text
}

pub fn ledger(command: LedgerCommand) -> Result<(), Failure> {
    match command {
        LedgerCommand::Verify { place } => {
            let report = answer(&place, Absent::Refuse, Books::verify, |report| {
                pairs(&["calls", "transfers", "accounts", "recomputed"].map(|name| (name, cell(&report[name]))))
            })?;
            verdict(&report)
        }
        LedgerCommand::Export { output, place } => {
            let config = place.config()?;
            let failed = |error: io::Error| Failure::failed(format!("the export cannot be written: {error}"));
            let mut out: Box<dyn Write> = match &output {
                Some(path) => Box::new(BufWriter::new(File::create(path).map_err(failed)?)),
                None => Box::new(BufWriter::new(io::stdout().lock())),
            };
            Books::with(&config, Absent::Refuse, |books| books.export(&mut out))?;
            out.flush().map_err(failed)
        }
    }
}

fn verdict(report: &Value) -> Result<(), Failure> {
    let problems = report["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
    if report["ok"] == true && problems.is_empty() {
        eprintln!("the ledger agrees");
        return Ok(());
    }
    let lines: String = problems.iter().map(|problem| format!("\n  {}", cell(problem))).collect();
    Err(Failure::Failed(format!("the ledger does not agree: {}{lines}", print::count(problems.len(), "problem"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_and_wallets_are_tables() {
        let key = json!({
            "id": "key-1", "account": "acc-1", "name": "ci", "hint": "sk-qw-…abcd", "models": null, "policy": "clamp",
            "created_at": 0, "expires_at": null, "revoked_at": 5,
        });
        let text = key_table(&json!({"data": [key]}));
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("key-1  acc-1    ci    sk-qw-…abcd  revoked  clamp   all"), "{text}");
        let wallet = json!({
            "account": "acc-1", "posted": "5", "pending": "1", "available": "4",
            "tiers": [{"tier": "permanent", "grant": "permanent", "amount": "5", "expires_at": null}],
        });
        assert!(wallet_lines(&wallet).contains("available  4 USD\n"));
        assert!(wallet_lines(&wallet).ends_with("permanent  permanent  5    -\n"), "{}", wallet_lines(&wallet));
    }

    #[test]
    fn a_ledger_that_does_not_agree_is_a_failure() {
        assert_eq!(verdict(&json!({"ok": true, "problems": []})), Ok(()));
        let Err(Failure::Failed(text)) = verdict(&json!({"ok": false, "problems": ["acc-1 2026-11-24: 5 != 6"]}))
        else {
            panic!("a broken ledger was praised")
        };
        assert!(text.contains("1 problem\n  acc-1 2026-11-24: 5 != 6"), "{text}");
        assert!(verdict(&json!({"ok": false, "problems": []})).is_err());
    }
}
