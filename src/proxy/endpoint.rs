//! The door: which protocol and operation a method and path ask for.

use http::Method;

use crate::wire::{Operation, Protocol};

/// What the request target names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// A model call, proxied.
    Call { protocol: Protocol, operation: Operation },
    /// A known call path with another method; the value of `Allow`.
    WrongMethod { allow: &'static str },
    /// Everything that we answer ourselves.
    Api,
}

impl Endpoint {
    /// Decides on the path as it was sent: no decoding, no normalising, so that nothing can be one path here and
    /// another upstream (the upstream's path is never the client's).
    pub fn from_path(method: &Method, path: &str) -> Endpoint {
        match (path, method) {
            ("/v1/chat/completions", &Method::POST) => {
                Endpoint::Call { protocol: Protocol::OpenAiChat, operation: Operation::Chat }
            }
            ("/v1/chat/completions", _) => Endpoint::WrongMethod { allow: "POST" },
            _ => Endpoint::Api,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_path_is_a_call() {
        let call = Endpoint::Call { protocol: Protocol::OpenAiChat, operation: Operation::Chat };
        assert_eq!(Endpoint::from_path(&Method::POST, "/v1/chat/completions"), call);
        assert_eq!(Endpoint::from_path(&Method::GET, "/v1/chat/completions"), Endpoint::WrongMethod { allow: "POST" });
        for odd in
            ["//v1/chat/completions", "/v1/chat/completions/", "/v1/%63hat/completions", "/v1/./chat/completions", "/"]
        {
            assert_eq!(Endpoint::from_path(&Method::POST, odd), Endpoint::Api, "{odd}");
        }
    }
}
