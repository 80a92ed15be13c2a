//! How commands speak: aligned tables and JSON on stdout. Must never meet a key but the one just made.

use std::io::{self, Write};

use serde_json::Value;

use super::Failure;

/// Writes to stdout. A reader that has left (`| head`) is no failure.
pub fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

pub fn json(value: &Value) -> Result<(), Failure> {
    out(&format!("{value:#}\n"))
}

/// `1 model`, `2 models`.
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A cell of a JSON field: absent is a dash, a list is joined.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        // A name of somebody else's must not drive the terminal.
        Value::String(text) => text.chars().map(|c| if c.is_control() { '?' } else { c }).collect(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Unix milliseconds as RFC 3339 in UTC.
pub fn time(value: &Value) -> String {
    let shown = value.as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    shown.map_or_else(|| cell(value), |time| format!("{time:.0}"))
}

/// Columns as wide as their widest cell, two spaces between, nothing at the end of a line.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let lines: Vec<Vec<&str>> =
        std::iter::once(head.to_vec()).chain(rows.iter().map(|row| row.iter().map(String::as_str).collect())).collect();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `name  value` lines.
pub fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_are_aligned() {
        let rows =
            [vec!["a".to_owned(), "é".to_owned(), "x".to_owned()], vec!["long".into(), String::new(), "-".into()]];
        assert_eq!(table(&["ID", "B", "C"], &rows), "ID    B  C\na     é  x\nlong     -\n");
        assert_eq!(pairs(&[("id", "1".to_owned()), ("amount", "2".to_owned())]), "id      1\namount  2\n");
    }

    #[test]
    fn cells_are_plain() {
        let shown =
            [json!(null), json!(""), json!("a\u{1b}[31m"), json!(["a", "b"]), json!(true), json!(5)].map(|v| cell(&v));
        assert_eq!(shown, ["-", "-", "a?[31m", "a,b", "true", "5"]);
        assert_eq!((time(&json!(0)), time(&json!(null))), ("1970-01-01T00:00:00Z".to_owned(), "-".to_owned()));
        assert_eq!((count(1, "model"), count(2, "model")), ("1 model".to_owned(), "2 models".to_owned()));
    }
}
