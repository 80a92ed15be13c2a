//! Whether a translated request says all that the original said, or declares what it leaves out. Independent of the
//! translators: it compares two JSON documents leaf by leaf, knowing only where each protocol keeps what.

mod leaves;
mod pairs;
mod rules;
mod schema;

use std::collections::BTreeMap;

use serde_json::Value;

use super::targets::Written;
use crate::wire::Protocol;
use crate::wire::ir::{Feature, Loss, Losses, ReasoningStyle, Target, Undo};

use leaves::{Leaf, leaves, norm, shape};
use rules::{Class, Rule, rule};

/// What is missing in `out` and not declared, one line each.
pub fn missing(
    from: Protocol,
    to: Protocol,
    request: &Value,
    out: &Value,
    written: &Written,
    target: &Target<'_>,
) -> Vec<String> {
    let (losses, undo) = (&written.losses, &written.undo);
    let cannot_think = target.reasoning == ReasoningStyle::Never;
    let check = Check { from, to, request, losses, undo, cannot_think, out_leaves: leaves(out), out };
    let mut missing = check.params();
    missing.extend(check.conversation());
    missing.extend(pairs::check(from, to, request, out, |path| check.declared(path)));
    if !missing.is_empty() {
        let lost: Vec<String> = losses.iter().map(|loss| loss.feature.param(from).into_owned()).collect();
        missing.push(format!("(declared: {})", lost.join(", ")));
    }
    missing
}

struct Check<'c> {
    from: Protocol,
    to: Protocol,
    request: &'c Value,
    out: &'c Value,
    losses: &'c Losses,
    undo: &'c Undo,
    cannot_think: bool,
    out_leaves: Vec<Leaf>,
}

impl Check<'_> {
    /// Everything but the conversation's texts.
    fn params(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for leaf in leaves(self.request) {
            let rule = rule(self.from, self.request, &leaf);
            if !self.said(&leaf, &rule) && !self.declared(&leaf.path) {
                missing.push(format!("{} = {} ({rule:?})", leaf.path, brief(&leaf.text)));
            }
        }
        missing
    }

    fn said(&self, leaf: &Leaf, rule: &Rule) -> bool {
        match rule {
            Rule::Structure | Rule::Idle | Rule::Text(_) => true,
            Rule::Anywhere => self.anywhere(&leaf.text),
            Rule::Exactly => self.exactly(leaf),
            Rule::Name => {
                let sent = self.undo.tool_names.iter().find(|(_, known)| *known == leaf.text);
                self.exactly(leaf) || sent.is_some_and(|(sent, _)| self.out_leaves.iter().any(|out| out.text == *sent))
            }
            Rule::Data => {
                let data = leaf.text.split_once(";base64,").map_or(leaf.text.as_str(), |(_, data)| data);
                // GM takes the URL-safe alphabet beside the other.
                let standard = data.replace('-', "+").replace('_', "/");
                self.anywhere(data) || self.anywhere(standard.trim_end_matches('='))
            }
            Rule::Mime => self.mime(&leaf.text),
            Rule::SchemaKey => {
                self.anywhere(&leaf.text) || self.out_leaves.iter().any(|out| out.keys.contains(&leaf.text))
            }
            Rule::SchemaLimit => self.anywhere(&leaf.text) || self.has_loss(&Feature::Schema),
            Rule::Wish(names) if *names == rules::FORMAT && self.undo.answer_tool.is_some() => true,
            // Not to think is what such a model does.
            Rule::Wish(names) if *names == rules::REASONING && self.cannot_think => {
                ["none", "false", "disabled", "0"].contains(&leaf.text.as_str()) || self.wished(names)
            }
            Rule::CacheMark => self.out_leaves.iter().any(|out| {
                within(&norm(&out.path), "cache_control") || within(&norm(&out.path), "prompt_cache_breakpoint")
            }),
            Rule::Wish(names) => self.wished(names),
            Rule::Number(names) => self.out_leaves.iter().any(|out| {
                let same =
                    out.text == leaf.text || number(&out.text) == number(&leaf.text) && number(&leaf.text).is_some();
                names.contains(&norm(&out.path).as_str()) && same
            }),
            Rule::Stop => self.undo.stop.contains(&leaf.text) || self.exactly(leaf),
        }
    }

    fn wished(&self, names: &[&str]) -> bool {
        self.out_leaves.iter().any(|out| {
            let path = shape(&out.path);
            names.iter().any(|name| path == *name || path.starts_with(&format!("{name}.")))
        })
    }

    fn anywhere(&self, text: &str) -> bool {
        self.out_leaves.iter().any(|out| out.text.contains(text))
    }

    fn exactly(&self, leaf: &Leaf) -> bool {
        let name = |leaf: &Leaf| leaf.keys.last().map(|key| norm(key));
        self.out_leaves.iter().any(|out| {
            // A number or a boolean alone says nothing: its name must be there too.
            if !leaf.is_text && name(out) != name(leaf) {
                return false;
            }
            out.text == leaf.text || number(&out.text).is_some() && number(&out.text) == number(&leaf.text)
        })
    }

    fn mime(&self, mime: &str) -> bool {
        let kind = mime.rsplit('/').next().unwrap_or(mime);
        let names = match kind {
            "mp3" | "mpeg" => ["mp3", "mpeg"],
            "wav" | "x-wav" => ["wav", "wav"],
            "jpeg" | "jpg" => ["jpeg", "jpg"],
            // A text document is text in every protocol, and a video is one by its part.
            "plain" => return true,
            _ if mime.starts_with("video/") => return true,
            other => [other, other],
        };
        self.out_leaves.iter().any(|out| names.iter().any(|name| out.text.contains(name)))
    }

    fn has_loss(&self, feature: &Feature) -> bool {
        self.losses.iter().any(|loss| loss.feature == *feature)
    }

    /// A loss covers the leaf at `path`.
    fn declared(&self, path: &str) -> bool {
        let kinds = rules::foreign(self.from, self.request, path);
        let by_kind = |loss: &Loss| match &loss.feature {
            Feature::ServerTool => true,
            Feature::Field(field) => kinds.contains(&field.to_string()),
            _ => false,
        };
        if !kinds.is_empty() && self.losses.iter().any(by_kind) {
            return true;
        }
        if rules::redacted(self.request, path) && self.has_loss(&Feature::ReasoningState) {
            return true;
        }
        let path = norm(path);
        self.losses.iter().any(|loss| match &loss.feature {
            Feature::Field(field) => {
                let field = norm(field);
                let whole =
                    path == field || path.starts_with(&format!("{field}.")) || path.starts_with(&format!("{field}["));
                whole || !field.contains('[') && among(&path, &field)
            }
            // Covers limits alone: names, descriptions and values stay.
            Feature::Schema => false,
            feature => {
                let param = norm(&feature.param(self.from));
                let here = |name: &str| path == name || path.starts_with(&format!("{name}.")) || within(&path, name);
                here(&param) || rules::covers(feature).iter().any(|name| here(name))
            }
        })
    }

    /// The texts of each class, in order.
    fn conversation(&self) -> Vec<String> {
        let mut outs: BTreeMap<Class, Vec<&str>> = BTreeMap::new();
        for leaf in &self.out_leaves {
            if let Rule::Text(class) = rule(self.to, self.out, leaf) {
                outs.entry(class).or_default().push(&leaf.text);
            }
        }
        let all: Vec<&str> = self.out_leaves.iter().map(|leaf| leaf.text.as_str()).collect();
        let mut missing = Vec::new();
        let mut places: BTreeMap<Class, Place> = BTreeMap::new();
        for leaf in leaves(self.request) {
            let Rule::Text(class) = rule(self.from, self.request, &leaf) else { continue };
            if leaf.text.trim().is_empty() {
                continue;
            }
            let place = places.entry(class).or_default();
            let found = outs.get(&class).is_some_and(|texts| place.find(texts, &leaf.text));
            // A system text may become the user's, and then stands in another row.
            let moved = matches!(class, Class::System | Class::Result | Class::Reasoning)
                && Place::default().find(&all, &leaf.text);
            let kept_back = class == Class::Reasoning && self.has_loss(&Feature::ReasoningState);
            // A text file is sent as bytes to those that take files as bytes alone.
            let as_bytes = data_encoding::BASE64.encode(leaf.text.as_bytes());
            let moved = moved || self.anywhere(&as_bytes);
            if !found && !moved && !kept_back && !self.declared(&leaf.path) {
                missing.push(format!("{} = {} ({class:?} text)", leaf.path, brief(&leaf.text)));
            }
        }
        missing
    }
}

/// How far a row of texts has been read.
#[derive(Default)]
struct Place {
    text: usize,
    byte: usize,
}

impl Place {
    fn find(&mut self, texts: &[&str], wanted: &str) -> bool {
        for (at, text) in texts.iter().enumerate().skip(self.text) {
            let from = if at == self.text { self.byte } else { 0 };
            if let Some(found) = text[from..].find(wanted) {
                *self = Place { text: at, byte: from + found + wanted.len() };
                return true;
            }
        }
        false
    }
}

/// `name` is one of the path's members.
fn within(path: &str, name: &str) -> bool {
    path.split(['.', '[']).any(|member| member == name)
}

/// The members of `field` stand in the path, in that order.
fn among(path: &str, field: &str) -> bool {
    let path = shape(path);
    let mut members = path.split(['.']).map(|member| member.trim_end_matches("[]"));
    field.split('.').all(|wanted| members.any(|member| member == wanted))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn brief(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

/// Whether a refusal names a parameter that the request has.
pub fn names_a_param(request: &Value, param: &str) -> bool {
    let wanted = norm(param);
    let last = wanted.rsplit('.').next().unwrap_or(&wanted).to_owned();
    let last = last.split('[').next().unwrap_or(&last).to_owned();
    leaves(request).iter().any(|leaf| {
        let path = norm(&leaf.path);
        path == wanted
            || path.starts_with(&format!("{wanted}."))
            || path.starts_with(&format!("{wanted}["))
            || within(&path, &last)
            // A part or tool that only its protocol has, by the word that it is known by.
            || leaf.is_text && within(&path, "type") && leaf.text == param
    })
}
