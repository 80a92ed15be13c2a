//! Outbound HTTP clients, each with a rule of whom it may reach. Model calls do not come through here: they are Pingora's.
//! Must never know what is asked or answered.

mod address;
mod error;
mod magic;
mod media;

use std::time::Duration;

use reqwest::{Client, redirect};

pub use error::FetchError;
pub use media::{Fetched, MediaFetcher, MediaLimits};

const CONNECT_MAX: Duration = Duration::from_secs(3);
/// A verification reads the whole ledger before it answers.
const ANSWER_MAX: Duration = Duration::from_secs(600);

/// A client for a gateway whose address is known, carrying its admin key: neither a proxy of the environment nor a redirect
/// may see the key.
pub fn admin_client() -> reqwest::Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_MAX)
        .timeout(ANSWER_MAX)
        .build()
}

#[cfg(test)]
mod tests;
