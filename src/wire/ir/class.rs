//! Judges what an upstream's error means, by its words first and its status second. Must never change it.

use super::error::{ErrorClass, UpstreamError};

/// The most exact word decides: a reason, then a code, then a type; then the status; then what a vague type says.
pub fn of(error: &UpstreamError) -> ErrorClass {
    let words = [&error.reason, &error.code, &error.kind];
    let named = words.into_iter().flatten().find_map(|word| of_word(word));
    let class = named.or_else(|| of_status(error.status?)).or_else(|| of_vague(error.kind.as_deref()?));
    match class {
        Some(ErrorClass::BadRequest | ErrorClass::TooLarge) | None if says_too_long(&error.message) => {
            ErrorClass::ContextTooLong
        }
        Some(class) => class,
        None => ErrorClass::Upstream,
    }
}

/// Words that mean one thing alone, whatever status they come with.
fn of_word(word: &str) -> Option<ErrorClass> {
    Some(match word.to_ascii_lowercase().as_str() {
        "context_length_exceeded" | "model_context_window_exceeded" => ErrorClass::ContextTooLong,
        "invalid_api_key"
        | "authentication_error"
        | "unauthenticated"
        | "api_key_invalid"
        | "api_key_expired"
        | "access_token_expired"
        | "invalid_authentication"
        | "unauthorized" => ErrorClass::BadKey,
        "insufficient_quota"
        | "billing_error"
        | "billing_hard_limit_reached"
        | "billing_not_active"
        | "insufficient_balance"
        | "insufficient_credits"
        | "arrearage"
        | "exceeded_current_quota_error" => ErrorClass::NoMoney,
        "permission_error" | "permission_denied" | "permission" | "access_denied" => ErrorClass::Forbidden,
        "not_found_error" | "not_found" | "model_not_found" | "deploymentnotfound" => ErrorClass::NotFound,
        "request_too_large" => ErrorClass::TooLarge,
        "content_policy_violation"
        | "content_filter"
        | "responsibleaipolicyviolation"
        | "invalid_prompt"
        | "data_inspection_failed"
        | "moderation_blocked" => ErrorClass::Policy,
        "rate_limit_error"
        | "rate_limit_exceeded"
        | "rate_limit_reached_error"
        | "resource_exhausted"
        | "rate_limit_exceeded_error" => ErrorClass::RateLimited,
        "overloaded_error"
        | "server_is_overloaded"
        | "overloaded"
        | "engine_overloaded_error"
        | "unavailable"
        | "service_unavailable"
        | "capacity_exceeded"
        | "slow_down" => ErrorClass::Overloaded,
        "timeout_error" | "deadline_exceeded" | "timeout" => ErrorClass::Timeout,
        _ => return None,
    })
}

fn of_status(status: u16) -> Option<ErrorClass> {
    Some(match status {
        401 => ErrorClass::BadKey,
        402 => ErrorClass::NoMoney,
        403 => ErrorClass::Forbidden,
        404 => ErrorClass::NotFound,
        408 | 504 | 524 => ErrorClass::Timeout,
        413 => ErrorClass::TooLarge,
        429 => ErrorClass::RateLimited,
        // 498: Groq's full house.
        498 | 503 | 529 => ErrorClass::Overloaded,
        400..=499 => ErrorClass::BadRequest,
        500..=599 => ErrorClass::Upstream,
        _ => return None,
    })
}

/// Words that vendors use for many things.
fn of_vague(kind: &str) -> Option<ErrorClass> {
    Some(match kind.to_ascii_lowercase().as_str() {
        "invalid_request_error" | "invalid_argument" | "failed_precondition" | "out_of_range" | "bad_request" => {
            ErrorClass::BadRequest
        }
        "tokens" | "requests" => ErrorClass::RateLimited,
        _ => return None,
    })
}

/// Few vendors have a code for it.
fn says_too_long(message: &str) -> bool {
    const SAID: [&str; 8] = [
        "prompt is too long",
        "maximum context length",
        "context length exceeded",
        "exceeds the context window",
        "exceed context limit",
        "maximum prompt length",
        "exceeds the maximum number of tokens",
        "input is too long for requested model",
    ];
    let message = message[..message.floor_char_boundary(1024)].to_ascii_lowercase();
    SAID.iter().any(|words| message.contains(words))
}
