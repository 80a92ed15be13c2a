//! Puts together a call's arguments that Vertex streams piece by piece (`partialArgs`). Must never know whose call it is.

use std::borrow::Cow;

use super::fields::get;
use crate::wire::json::{Object, Str, Value};

/// Most bytes of values and most values of one call; what goes beyond is left out.
pub const ARGS_BYTES_MAX: usize = 16 << 20;
const PIECES_MAX: usize = 1 << 16;
/// Longest way to a value.
const STEPS_MAX: usize = 64;
/// How far an index may lie behind an array's end.
const GAP_MAX: usize = 1024;
/// How many members of an object are looked through, from the last.
const LOOKED_AT_MAX: usize = 1024;

#[derive(Debug, Default)]
pub struct PartialArgs {
    root: Object<'static>,
    /// A text that goes on in the next piece: its path, and its token so far.
    open: Option<(String, String)>,
    bytes: usize,
    pieces: usize,
}

enum Step {
    Key(String),
    Index(usize),
}

impl PartialArgs {
    /// Takes the pieces of one part in. A piece without a path or value that can be understood is left out.
    pub fn push(&mut self, pieces: &Value<'_>) {
        match pieces {
            Value::Array(list) => list.iter().for_each(|piece| self.piece(piece)),
            piece => self.piece(piece),
        }
    }

    fn piece(&mut self, piece: &Value<'_>) {
        let Some(path) = get(piece, "jsonPath").and_then(Value::as_text) else { return };
        let goes_on = get(piece, "willContinue").and_then(Value::as_bool).unwrap_or(false);
        self.pieces += 1;
        if self.pieces > PIECES_MAX {
            return;
        }
        if let Some(Value::String(text)) = get(piece, "stringValue") {
            let token = text.as_token();
            self.bytes += token.len();
            if self.bytes > ARGS_BYTES_MAX {
                return;
            }
            if self.open.as_ref().is_none_or(|(open, _)| *open != path) {
                self.close();
                self.open = Some((path.into_owned(), String::new()));
            }
            if let Some((_, open)) = &mut self.open {
                open.push_str(&token);
            }
            if !goes_on {
                self.close();
            }
            return;
        }
        let value = match (get(piece, "numberValue"), get(piece, "boolValue"), get(piece, "nullValue")) {
            (Some(Value::Number(number)), _, _) => Value::Number(Cow::Owned(number.clone().into_owned())),
            (_, Some(Value::Bool(bool)), _) => Value::Bool(*bool),
            (_, _, Some(_)) => Value::Null,
            _ => return,
        };
        self.close();
        self.put(&path, value);
    }

    fn close(&mut self) {
        if let Some((path, token)) = self.open.take() {
            self.put(&path, Value::String(Str::token(token)));
        }
    }

    fn put(&mut self, path: &str, value: Value<'static>) {
        let Some(steps) = steps(path) else { return };
        let mut steps = steps.into_iter();
        let Some(Step::Key(first)) = steps.next() else { return };
        let mut at = member(&mut self.root, first);
        for step in steps {
            let next = match step {
                Step::Key(key) => {
                    if at.as_object().is_none() {
                        *at = Value::object();
                    }
                    at.as_object_mut().map(|object| member(object, key))
                }
                Step::Index(index) => element(at, index),
            };
            let Some(next) = next else { return };
            at = next;
        }
        *at = value;
    }

    pub fn finish(mut self) -> Object<'static> {
        self.close();
        self.root
    }
}

fn member<'v>(object: &'v mut Object<'static>, key: String) -> &'v mut Value<'static> {
    let known = object.members.iter().rev().take(LOOKED_AT_MAX).position(|(name, _)| *name == key.as_str());
    let at = match known {
        Some(from_end) => object.members.len() - 1 - from_end,
        None => {
            object.members.push((Str::plain(key), Value::Null));
            object.members.len() - 1
        }
    };
    &mut object.members[at].1
}

fn element<'v>(at: &'v mut Value<'static>, index: usize) -> Option<&'v mut Value<'static>> {
    if !matches!(at, Value::Array(_)) {
        *at = Value::Array(Vec::new());
    }
    let Value::Array(list) = at else { return None };
    if index > list.len() + GAP_MAX {
        return None;
    }
    while list.len() <= index {
        list.push(Value::Null);
    }
    list.get_mut(index)
}

/// `$.a.b[0]['c d']`
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == STEPS_MAX {
            return None;
        }
        if let Some(inside) = rest.strip_prefix('[') {
            let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
            let (step, behind) = match quote {
                Some(quote) => {
                    let (key, behind) = inside[1..].split_once(quote)?;
                    (Step::Key(key.to_owned()), behind.strip_prefix(']')?)
                }
                None => {
                    let (index, behind) = inside.split_once(']')?;
                    (Step::Index(index.trim().parse().ok()?), behind)
                }
            };
            steps.push(step);
            rest = behind;
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Key(name[..end].to_owned()));
            rest = &name[end..];
        }
    }
    Some(steps)
}
