//! Why a URL could not be fetched. Must never know whose URL it was.

/// The message is for the client that gave the URL: what is wrong, and what to do. It never tells where a name leads to.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the URL cannot be fetched: {0}; give an http or https URL, or send the data inline as base64")]
    BadUrl(&'static str),
    /// It leads to an address that strangers may not have us reach.
    #[error("{host} is not a public address; give a public URL, or send the data inline as base64")]
    Forbidden { host: String },
    #[error("{host} cannot be resolved; check the URL, or send the data inline as base64")]
    Unresolved { host: String },
    #[error("the URL redirects more than {max} times; give the address that it leads to")]
    Redirects { max: usize },
    #[error("the URL answers with status {status}; check that it can be read without signing in")]
    Status { status: u16 },
    #[error("the URL holds more than {bytes_max} bytes; send something smaller")]
    TooLarge { bytes_max: usize },
    #[error("the URL did not answer whole within {seconds} s; send the data inline as base64")]
    TooSlow { seconds: u64 },
    #[error("the URL holds no image, PDF, audio or video that is known by its first bytes; check where it leads to")]
    NotMedia,
    /// The connection failed or the answer broke. The cause is for the log.
    #[error("the URL cannot be read; check it, or send the data inline as base64")]
    Broken(#[source] reqwest::Error),
}
