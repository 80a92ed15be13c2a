//! Takes keys, account names and URLs out of an upstream's message, and leaves every other byte as it is.
//!
//! The text may be JSON: what is taken out never holds a quote or a backslash, so the rest stays JSON.

const KEY: &str = "[key]";
const URL: &str = "[url]";
const ACCOUNT: &str = "[account]";

/// How vendors' keys begin, and how many characters must follow at least.
const KEY_PREFIXES: [(&str, usize); 22] = [
    ("sk-", 6),
    ("sk_", 12),
    ("rk-", 12),
    ("pk-", 12),
    ("csk-", 8),
    ("gsk_", 8),
    ("xai-", 8),
    ("pplx-", 8),
    ("hf_", 8),
    ("r8_", 8),
    ("nvapi-", 8),
    ("fw_", 12),
    ("tgp_", 8),
    ("ghp_", 8),
    ("github_pat_", 8),
    ("key-", 8),
    ("AIza", 16),
    ("AKIA", 12),
    ("ASIA", 12),
    ("ya29.", 8),
    ("AQ.", 16),
    ("eyJ", 20),
];
const ACCOUNT_PREFIXES: [(&str, usize); 3] = [("org-", 8), ("proj_", 8), ("user-", 16)];
/// Words after which a long token is taken for a secret.
const SECRET_NAMES: [&str; 4] = ["key", "token", "secret", "bearer"];
/// How many words may stand between such a word and the secret ("API key provided: …").
const WORDS_BETWEEN_MAX: usize = 2;
/// Shortest token that is taken for a secret by its place alone.
const SECRET_BYTES_MIN: usize = 16;

/// A text without keys, account names and URLs.
pub fn redact(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    // Words since the last secret's name.
    let mut since_name = usize::MAX;
    while let Some(first) = rest.chars().next() {
        if let Some(len) = url_len(rest) {
            clean.push_str(URL);
            rest = &rest[len..];
            continue;
        }
        let word = &rest[..before_url(rest, word_len(rest))];
        if word.is_empty() {
            let len = escape_len(rest).unwrap_or(first.len_utf8());
            clean.push_str(&rest[..len]);
            rest = &rest[len..];
            continue;
        }
        rest = &rest[word.len()..];
        let named = since_name <= WORDS_BETWEEN_MAX;
        match verdict(word, named) {
            Some(instead) => clean.push_str(instead),
            None => clean.push_str(word),
        }
        since_name = if names_secret(word) { 0 } else { since_name.saturating_add(1) };
    }
    clean
}

fn verdict(word: &str, named: bool) -> Option<&'static str> {
    let starts = |prefixes: &[(&str, usize)]| {
        prefixes.iter().any(|(prefix, more)| {
            word.strip_prefix(prefix).is_some_and(|rest| rest.len() >= *more && looks_random(rest))
        })
    };
    if starts(&KEY_PREFIXES) || (named && word.len() >= SECRET_BYTES_MIN && looks_random(word)) {
        return Some(KEY);
    }
    starts(&ACCOUNT_PREFIXES).then_some(ACCOUNT)
}

/// Digits or the stars of a masked key; or so long a run of letters that it is no word.
fn looks_random(token: &str) -> bool {
    let letters_only = token.bytes().all(|byte| byte.is_ascii_alphabetic());
    token.bytes().any(|byte| byte.is_ascii_digit() || byte == b'*') || (letters_only && token.len() >= 32)
}

fn names_secret(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|name| word.ends_with(name))
}

/// The run of characters that tokens are made of; a full stop or an equals sign is part of it only inside or as padding.
fn word_len(text: &str) -> usize {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_*+/=~.".contains(&byte);
    let len = text.bytes().take_while(|byte| is_token(*byte)).count();
    let run = &text[..len];
    // `api_key=…` is two words, padding at the end is none.
    let run = match run.trim_end_matches('=').find('=') {
        Some(0) => return 0,
        Some(at) => &run[..at],
        None if run.starts_with('=') => return 0,
        None => run,
    };
    run.trim_end_matches(['.', '/']).len()
}

/// The length of a word without the scheme of a URL that follows (`**https://…`).
fn before_url(text: &str, word_len: usize) -> usize {
    let starts = |scheme: &str| word_len.checked_sub(scheme.len()).filter(|at| url_len(&text[*at..]).is_some());
    ["https", "http", "wss", "ws"].into_iter().find_map(starts).unwrap_or(word_len)
}

/// The length of an escape of a JSON text, whose letters are not part of the word behind it.
fn escape_len(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('\\')?;
    match rest.bytes().next()? {
        b'u' if rest.len() > 4 && rest.as_bytes()[1..5].iter().all(u8::is_ascii_hexdigit) => Some(6),
        b'n' | b'r' | b't' | b'b' | b'f' | b'"' | b'\\' | b'/' => Some(2),
        _ => None,
    }
}

/// The length of a URL at the start of `text`; its slashes may be escaped as some JSON writers do.
fn url_len(text: &str) -> Option<usize> {
    let scheme = ["https:", "http:", "wss:", "ws:"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?;
    let slashes = ["//", r"\/\/"].into_iter().find(|slashes| text[scheme.len()..].starts_with(slashes))?;
    let start = scheme.len() + slashes.len();
    let mut end = start;
    let mut chars = text[start..].chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' if chars.peek() == Some(&'/') => {}
            '\\' | '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '|' | '^' => break,
            c if c.is_whitespace() || c.is_control() || !c.is_ascii() => break,
            _ => {}
        }
        end += char.len_utf8();
    }
    // What ends a sentence is not part of the address, nor is a lone backslash.
    let url = text[..end].trim_end_matches(['.', ':', '!', '?', '\\']);
    (url.len() > start).then_some(url.len())
}
