//! What operators do to a ledger: accounts, money from outside, keys. Must never be on a call's way.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::ledger::Ledger;
use super::store::accounts::{self, Funded, StoredKey, unknown_account};
use super::{AccountView, CreatedKey, KeyView, LedgerError, NewKey, Policy, Principal, WalletView};
use super::{keys, now_ms, wallet::Tier};
use crate::pricing::Amount;

const ID_BYTES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 255;
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
const MODELS_MAX: usize = 1000;

impl Ledger {
    /// *Blocking.* Creates the account with this id (`acc-…` minted when `None`).
    pub fn create_account(&self, id: Option<&str>, name: &str) -> Result<AccountView, LedgerError> {
        let id = match id {
            Some(id) => account_id(id)?.to_owned(),
            None => format!("acc-{}", uuid::Uuid::now_v7().simple()),
        };
        let name = limited("name", name, NAME_BYTES_MAX)?.to_owned();
        self.core().inbox.run(move |store, core| {
            let view = AccountView { id: id.into(), name, created_at: now_ms() };
            store.create_account(&view.id, &view.name, view.created_at)?;
            core.wallets.enrol(&view.id, Vec::new());
            Ok(view)
        })
    }

    /// *Blocking.*
    pub fn accounts(&self) -> Result<Vec<AccountView>, LedgerError> {
        self.core().readers.with(|conn| accounts::accounts(conn))
    }

    /// *Blocking.* TOPUP (cash → master) and FUND (master → api permanent), once per account and `idempotency_key`: the same
    /// key and amount again changes nothing, another amount is `Invalid`.
    pub fn fund(&self, account: &str, amount: Amount, idempotency_key: &str) -> Result<WalletView, LedgerError> {
        if amount <= Amount::ZERO {
            return Err(LedgerError::Invalid("the amount must be above 0".into()));
        }
        if idempotency_key.is_empty() {
            return Err(LedgerError::Invalid("the idempotency key is empty".into()));
        }
        let key = limited("idempotency key", idempotency_key, IDEMPOTENCY_KEY_BYTES_MAX)?.to_owned();
        let cell = self.core().wallets.get(account).ok_or_else(|| unknown_account(account))?;
        self.core().inbox.run(move |store, _| {
            let now_ms = now_ms();
            // The cell grows here and not at the caller, who may have stopped waiting.
            if store.fund(&cell.account, amount.nano(), &key, now_ms)? == Funded::Now {
                cell.grow(Tier::Permanent, &Arc::from(Tier::Permanent.as_str()), now_ms, amount.nano());
            }
            Ok(cell.view())
        })
    }

    /// *Blocking.*
    pub fn create_key(&self, key: NewKey) -> Result<CreatedKey, LedgerError> {
        self.create_key_with_secret(key, keys::random()?)
    }

    /// *Blocking.* A key from given secret bytes, for a demo that can be repeated. Where the account has that key already,
    /// it is returned as it is.
    pub fn create_key_with_secret(&self, key: NewKey, secret: [u8; 32]) -> Result<CreatedKey, LedgerError> {
        let text = keys::key_text(&secret);
        let models = key.models.map(|models| models.into_iter().map(Arc::from).collect::<Vec<Arc<str>>>());
        if models.as_ref().is_some_and(|models| models.len() > MODELS_MAX) {
            return Err(LedgerError::Invalid(format!("a key lists at most {MODELS_MAX} models")));
        }
        for model in models.iter().flatten() {
            limited("model", model, NAME_BYTES_MAX)?;
        }
        let stored = StoredKey {
            id: keys::key_id(&secret).into(),
            digest: self.core().keys.digest(text.expose_secret()),
            account: key.account.into(),
            name: limited("name", &key.name, NAME_BYTES_MAX)?.to_owned(),
            hint: keys::hint(&text),
            models,
            policy: key.policy,
            strict_parameters: key.strict_parameters,
            created_at: now_ms(),
            expires_at: key.expires_at_ms,
            revoked_at: None,
        };
        let stored = self.core().inbox.run(move |store, core| match store.key_by_digest(&stored.digest)? {
            Some(known) if known.account == stored.account && known.revoked_at.is_none() => Ok(known),
            Some(_) => Err(LedgerError::Invalid("this key was made before".into())),
            None => {
                store.create_key(&stored)?;
                core.keys.put(stored.digest, known(&stored, core.options.policy));
                Ok(stored)
            }
        })?;
        Ok(CreatedKey { view: view(stored, self.core().options.policy), secret: text })
    }

    /// *Blocking.* In force when it returns.
    pub fn revoke_key(&self, id: &str) -> Result<KeyView, LedgerError> {
        let id = id.to_owned();
        let revoked = self.core().inbox.run(move |store, core| {
            let revoked = store.revoke_key(&id, now_ms())?;
            core.keys.put(revoked.digest, known(&revoked, core.options.policy));
            Ok(revoked)
        })?;
        Ok(view(revoked, self.core().options.policy))
    }

    /// *Blocking.* Oldest first, also those that are revoked.
    pub fn keys(&self, account: Option<&str>) -> Result<Vec<KeyView>, LedgerError> {
        let keys = self.core().readers.with(|conn| accounts::keys(conn, account))?;
        Ok(keys.into_iter().map(|key| view(key, self.core().options.policy)).collect())
    }
}

/// What calls are checked against.
pub fn known(key: &StoredKey, default: Policy) -> keys::KnownKey {
    let principal = Principal {
        account: key.account.clone(),
        key_id: key.id.clone(),
        policy: key.policy.unwrap_or(default),
        models: key.models.clone(),
        strict_parameters: key.strict_parameters,
    };
    keys::KnownKey { principal: Arc::new(principal), expires_at: key.expires_at, revoked: key.revoked_at.is_some() }
}

fn view(key: StoredKey, default: Policy) -> KeyView {
    KeyView {
        id: key.id,
        account: key.account,
        name: key.name,
        hint: key.hint,
        models: key.models,
        policy: key.policy.unwrap_or(default).as_str(),
        strict_parameters: key.strict_parameters,
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
    }
}

/// An account's id is part of the names of ledger accounts, so it has none of their separators.
fn account_id(id: &str) -> Result<&str, LedgerError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(known) {
        let problem =
            format!("account id \"{id}\": expected 1 to {ID_BYTES_MAX} letters, digits, \"-\", \"_\" or \".\"");
        return Err(LedgerError::Invalid(problem));
    }
    Ok(id)
}

fn limited<'a>(what: &str, text: &'a str, bytes_max: usize) -> Result<&'a str, LedgerError> {
    if text.len() > bytes_max {
        return Err(LedgerError::Invalid(format!("{what} is longer than {bytes_max} bytes")));
    }
    Ok(text)
}
