//! How a place in a file is shown: `file:line:col: message`, the line, and a caret. Must never know what went wrong.

use std::fmt::Write as _;

use super::tree::Place;

/// Characters of a line that are shown; a longer one is cut around the caret.
const LINE_CHARS_MAX: usize = 120;
const HIDDEN: &str = "********";

/// Appends one problem. What stands in the line from the column `hide_from` on (counted from 0) may be a secret.
///
/// Plain text on purpose: no colour, no drawing, one clickable first line.
pub fn show(out: &mut String, path: &str, text: &str, place: Place, message: &str, hide_from: Option<usize>) {
    let _ = writeln!(out, "{path}:{}:{}: {message}", place.line, place.column);
    let Some(line) = text.lines().nth(place.line - 1) else { return };
    let end = hide_from.unwrap_or(usize::MAX);
    let column = (place.column - 1).min(end);
    let (shown, before) = window(line, column, end);
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let width = place.width.min(shown.chars().count().saturating_sub(before)).max(1);
    let _ = writeln!(out, " {gutter} |\n {number} | {shown}\n {gutter} | {}{}", " ".repeat(before), "^".repeat(width));
}

/// The part of a line to show, and how many characters of it stand before the caret.
fn window(line: &str, column: usize, end: usize) -> (String, usize) {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let skipped = if column >= LINE_CHARS_MAX { column - LINE_CHARS_MAX / 2 } else { 0 };
    let cut = end.min(skipped + LINE_CHARS_MAX);
    let mut shown = String::new();
    if skipped > 0 {
        shown.push('…');
    }
    shown.extend(line.chars().skip(skipped).take(cut - skipped).map(printable));
    if line.chars().nth(cut).is_some() {
        shown.push_str(if cut == end { HIDDEN } else { "…" });
    }
    (shown, column - skipped + usize::from(skipped > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, place: (usize, usize, usize), hide_from: Option<usize>) -> String {
        let mut out = String::new();
        let place = Place { line: place.0, column: place.1, width: place.2 };
        show(&mut out, "a.yaml", text, place, "wrong", hide_from);
        out
    }

    #[test]
    fn the_caret_stands_under_the_value() {
        let text = "a: 1\n\tb: été\n";
        assert_eq!(shown(text, (2, 5, 3), None), "a.yaml:2:5: wrong\n   |\n 2 |  b: été\n   |     ^^^\n");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let out = shown("admin_key: hunter2 # mine\n", (1, 12, 7), Some(11));
        assert!(out.contains("admin_key: ********") && !out.contains("hunter2") && !out.contains("mine"), "{out}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("a: {}!{}", "x".repeat(500), "y".repeat(500));
        let out = shown(&text, (1, 504, 1), None);
        let lines: Vec<_> = out.lines().collect();
        let caret = lines[3].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[2].chars().nth(caret), Some('!'), "{out}");
        assert!(lines[2].chars().count() < 140);
    }

    #[test]
    fn a_place_past_the_end_shows_the_message_alone() {
        assert_eq!(shown("a: [\n", (2, 1, 1), None), "a.yaml:2:1: wrong\n");
        assert_eq!(shown("ab\n", (1, 9, 4), None), "a.yaml:1:9: wrong\n   |\n 1 | ab\n   |         ^\n");
    }
}
