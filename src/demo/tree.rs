//! A JSON request as a tree that borrows from the body, and how it is written again. Must never know a protocol.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::put::{put, put_string};

/// A string that borrows from the body unless it holds escapes.
#[derive(serde::Deserialize)]
pub(super) struct Str<'a>(#[serde(borrow)] pub Cow<'a, str>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Flag(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// In the order of the body. Of two members with one name the last one counts.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    pub fn parse(body: &'a [u8]) -> Result<Node<'a>, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// A member that is there and not null.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        let (_, node) = self.members().iter().rev().find(|(given, _)| given == name)?;
        (*node != Node::Null).then_some(node)
    }

    pub fn members(&self) -> &[(Cow<'a, str>, Node<'a>)] {
        match self {
            Node::Object(members) => members,
            _ => &[],
        }
    }

    pub fn list(&self) -> &[Node<'a>] {
        match self {
            Node::List(nodes) => nodes,
            _ => &[],
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<f64> {
        match self {
            Node::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    pub fn list_of(&self, name: &str) -> &[Node<'a>] {
        self.get(name).map_or(&[], Node::list)
    }

    pub fn number_of(&self, name: &str) -> Option<f64> {
        self.get(name)?.number()
    }

    pub fn whole_of(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Node::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    pub fn flag_of(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Node::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    pub fn to_value(&self) -> Value {
        match self {
            Node::Null => Value::Null,
            Node::Flag(flag) => Value::Bool(*flag),
            Node::Number(number) => Value::Number(number.clone()),
            Node::Text(text) => Value::String(text.clone().into_owned()),
            Node::List(nodes) => nodes.iter().map(Node::to_value).collect(),
            Node::Object(members) => members.iter().map(|(name, node)| (name.to_string(), node.to_value())).collect(),
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Node::Null => out.extend_from_slice(b"null"),
            Node::Flag(flag) => put(out, format_args!("{flag}")),
            Node::Number(number) => put(out, format_args!("{number}")),
            Node::Text(text) => put_string(out, text),
            Node::List(nodes) => {
                out.push(b'[');
                for (place, node) in nodes.iter().enumerate() {
                    out.extend_from_slice(if place > 0 { b"," } else { b"" });
                    node.write(out);
                }
                out.push(b']');
            }
            Node::Object(members) => {
                out.push(b'{');
                for (place, (name, node)) in members.iter().enumerate() {
                    out.extend_from_slice(if place > 0 { b"," } else { b"" });
                    put_string(out, name);
                    out.push(b':');
                    node.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Shapes;
        impl<'de> Visitor<'de> for Shapes {
            type Value = Node<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E: Error>(self, flag: bool) -> Result<Node<'de>, E> {
                Ok(Node::Flag(flag))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Node<'de>, E> {
                Ok(Node::Number(number.into()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Node<'de>, E> {
                Ok(Node::Number(number.into()))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Node<'de>, E> {
                Ok(Number::from_f64(number).map_or(Node::Null, Node::Number))
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Node<'de>, E> {
                Ok(Node::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Node<'de>, E> {
                Ok(Node::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Node<'de>, S::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = items.next_element()? {
                    nodes.push(node);
                }
                Ok(Node::List(nodes))
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Node<'de>, M::Error> {
                let mut members = Vec::new();
                while let Some((Str(name), node)) = map.next_entry()? {
                    members.push((name, node));
                }
                Ok(Node::Object(members))
            }
        }
        from.deserialize_any(Shapes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_written_as_it_was_read() {
        let body = r#"{"b":[1,-2,0.5,true,null,"é\n"],"a":{"x":{}}}"#;
        let tree = Node::parse(body.as_bytes()).unwrap();
        let mut out = Vec::new();
        tree.write(&mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), body);
        assert_eq!(tree.to_value(), serde_json::from_str::<Value>(body).unwrap());
    }

    #[test]
    fn the_last_of_two_members_counts_and_null_is_absent() {
        let tree = Node::parse(br#"{"a":1,"a":2,"n":null}"#).unwrap();
        assert_eq!((tree.whole_of("a"), tree.get("n")), (Some(2), None));
    }
}
