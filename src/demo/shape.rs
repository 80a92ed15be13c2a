//! Which fields a request may have, as tables, and the check of a tree against them. Must never know a protocol.

use std::borrow::Cow;

use super::tree::Node;

/// What a value may be.
pub(super) enum Shape {
    /// Not looked into.
    Any,
    Text,
    Flag,
    Whole,
    Number,
    /// One of these texts; in `Rules::proto` in any case of letters.
    Word(&'static [&'static str]),
    /// An object with members of any name.
    Dict,
    Map(&'static Shape),
    List(&'static Shape),
    Object(&'static [Field]),
    /// An object whose member `type` says which fields it has.
    Tagged(&'static Tagged),
    TextOr(&'static Shape),
}

/// Name, shape, and whether it must be there.
pub(super) type Field = (&'static str, &'static Shape, bool);

pub(super) const NEED: bool = true;
pub(super) const MAY: bool = false;

pub(super) struct Tagged {
    /// The kind of an object without a tag, if it may lack it.
    pub without: Option<&'static str>,
    /// Tag and fields; `None` stands for any fields. A tag that ends with `*` stands for all that begin so.
    pub kinds: &'static [(&'static str, Option<&'static [Field]>)],
}

#[derive(Clone, Copy, Default)]
pub(super) struct Rules {
    /// Names may come as `camelCase` or `snake_case` and become the table's; whole numbers may come as text.
    pub proto: bool,
    /// Fields that are not in the tables pass.
    pub lenient: bool,
}

/// The first thing in a tree that its shape does not allow.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// From the inside out.
    steps: Vec<Step>,
    pub problem: Problem,
}

#[derive(Debug)]
enum Step {
    Name(String),
    Place(usize),
    /// The kind of the object, which only some vendors name.
    Kind(&'static str),
}

#[derive(Debug)]
pub(super) enum Problem {
    Unknown(String),
    Missing(&'static str),
    /// What was expected.
    Wrong(&'static str),
    /// The text that came, and those that may come.
    Word(String, String),
}

/// How a vendor spells the way to a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `messages.0.content.1.text.x`
    Dots,
    /// `input[0].content[1].x`
    Brackets,
}

impl Mismatch {
    fn new(problem: Problem) -> Mismatch {
        Mismatch { steps: Vec::new(), problem }
    }

    fn inside(mut self, step: Step) -> Mismatch {
        self.steps.push(step);
        self
    }

    /// The way to the object or value at fault.
    pub fn path(&self, spelling: Spelling) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            let dot = if path.is_empty() { "" } else { "." };
            match step {
                Step::Name(name) => path.extend([dot, name]),
                Step::Place(place) if spelling == Spelling::Dots => path.extend([dot, &place.to_string()]),
                Step::Place(place) => path.push_str(&format!("[{place}]")),
                Step::Kind(kind) if spelling == Spelling::Dots => path.extend([dot, kind]),
                Step::Kind(_) => {}
            }
        }
        path
    }

    /// The way to the field at fault, also when it is not there.
    pub fn field(&self, spelling: Spelling) -> String {
        let path = self.path(spelling);
        let name = match &self.problem {
            Problem::Unknown(name) => name,
            Problem::Missing(name) => *name,
            Problem::Wrong(_) | Problem::Word(..) => return path,
        };
        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
    }
}

/// Checks a tree, and gives its fields the table's names where the rules let them differ.
pub(super) fn check(node: &mut Node<'_>, shape: &Shape, rules: Rules) -> Result<(), Mismatch> {
    let wrong = |expected| Err(Mismatch::new(Problem::Wrong(expected)));
    match (shape, &mut *node) {
        (Shape::Any, _)
        | (Shape::Text | Shape::TextOr(_), Node::Text(_))
        | (Shape::Flag, Node::Flag(_))
        | (Shape::Number, Node::Number(_))
        | (Shape::Dict, Node::Object(_)) => Ok(()),
        (Shape::Whole, Node::Number(number)) if is_whole(number) => Ok(()),
        (Shape::Whole | Shape::Number, Node::Text(text)) if rules.proto => match text.parse::<f64>() {
            Ok(number) => {
                let whole = text.parse::<i64>().ok().map(serde_json::Number::from);
                *node = whole.or_else(|| serde_json::Number::from_f64(number)).map_or(Node::Null, Node::Number);
                Ok(())
            }
            Err(_) => wrong("a number"),
        },
        (Shape::Word(words), Node::Text(text)) => {
            let fits = |word: &&str| **word == *text || (rules.proto && word.eq_ignore_ascii_case(text));
            match words.iter().find(|word| fits(word)) {
                Some(word) => {
                    *text = Cow::Borrowed(*word);
                    Ok(())
                }
                None => Err(Mismatch::new(Problem::Word(text.to_string(), words.join("', '")))),
            }
        }
        (Shape::List(inner), Node::List(nodes)) => {
            for (place, node) in nodes.iter_mut().enumerate() {
                check(node, inner, rules).map_err(|mismatch| mismatch.inside(Step::Place(place)))?;
            }
            Ok(())
        }
        (Shape::Map(inner), Node::Object(members)) => {
            for (name, node) in members.iter_mut() {
                check(node, inner, rules).map_err(|mismatch| mismatch.inside(Step::Name(name.to_string())))?;
            }
            Ok(())
        }
        (Shape::Object(fields), Node::Object(members)) => check_members(members, fields, rules),
        (Shape::Tagged(tagged), Node::Object(_)) => check_tagged(node, tagged, rules),
        (Shape::TextOr(inner), _) => check(node, inner, rules),
        (Shape::Text | Shape::Word(_), _) => wrong("a string"),
        (Shape::Flag, _) => wrong("a boolean"),
        (Shape::Whole, _) => wrong("an integer"),
        (Shape::Number, _) => wrong("a number"),
        (Shape::List(_), _) => wrong("an array"),
        (Shape::Dict | Shape::Map(_) | Shape::Object(_) | Shape::Tagged(_), _) => wrong("an object"),
    }
}

fn is_whole(number: &serde_json::Number) -> bool {
    number.is_u64() || number.is_i64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn check_tagged(node: &mut Node<'_>, tagged: &Tagged, rules: Rules) -> Result<(), Mismatch> {
    let tag = match (node.get("type"), tagged.without) {
        (Some(Node::Text(tag)), _) => tag.to_string(),
        (Some(_), _) => return Err(Mismatch::new(Problem::Wrong("a string")).inside(Step::Name("type".to_owned()))),
        (None, Some(without)) => without.to_owned(),
        (None, None) => return Err(Mismatch::new(Problem::Missing("type"))),
    };
    let fits = |kind: &str| kind.strip_suffix('*').map_or(kind == tag, |start| tag.starts_with(start));
    let Some((kind, fields)) = tagged.kinds.iter().find(|(kind, _)| fits(kind)) else {
        let known: Vec<&str> = tagged.kinds.iter().map(|(kind, _)| *kind).collect();
        let problem = Problem::Word(tag, known.join("', '"));
        return Err(Mismatch::new(problem).inside(Step::Name("type".to_owned())));
    };
    match (fields, node) {
        (Some(fields), Node::Object(members)) => {
            check_members(members, fields, rules).map_err(|mismatch| mismatch.inside(Step::Kind(kind)))
        }
        _ => Ok(()),
    }
}

fn check_members<'a>(members: &mut [(Cow<'a, str>, Node<'a>)], fields: &[Field], rules: Rules) -> Result<(), Mismatch> {
    for (name, node) in members.iter_mut() {
        let Some((known, shape, _)) = fields.iter().find(|(known, ..)| is_named(name, known, rules)) else {
            if rules.lenient {
                continue;
            }
            return Err(Mismatch::new(Problem::Unknown(name.to_string())));
        };
        *name = Cow::Borrowed(*known);
        if *node != Node::Null {
            check(node, shape, rules).map_err(|mismatch| mismatch.inside(Step::Name((*known).to_owned())))?;
        }
    }
    let is_there = |wanted: &str| members.iter().any(|(name, node)| name == wanted && *node != Node::Null);
    match fields.iter().find(|(name, _, needed)| *needed && !is_there(name)) {
        Some((name, ..)) => Err(Mismatch::new(Problem::Missing(name))),
        None => Ok(()),
    }
}

/// `max_output_tokens` is `maxOutputTokens` too, under the rules of protobuf.
fn is_named(given: &str, name: &str, rules: Rules) -> bool {
    if given == name {
        return true;
    }
    if !rules.proto || !given.contains('_') {
        return false;
    }
    let mut raised = false;
    let camel = given.chars().filter_map(|letter| {
        let letter = if raised { letter.to_ascii_uppercase() } else { letter };
        raised = letter == '_';
        (!raised).then_some(letter)
    });
    camel.eq(name.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    static INNER: Shape = Shape::Tagged(&Tagged {
        without: Some("text"),
        kinds: &[("text", Some(&[("type", &Shape::Text, MAY), ("text", &Shape::Text, NEED)])), ("web_*", None)],
    });
    static LIST: Shape = Shape::List(&INNER);
    static OUTER: Shape = Shape::Object(&[
        ("maxTokens", &Shape::Whole, NEED),
        ("mode", &Shape::Word(&["AUTO", "ANY"]), MAY),
        ("content", &Shape::TextOr(&LIST), MAY),
    ]);

    /// What is wrong, in both spellings.
    fn check_all(body: &str, rules: Rules) -> Result<String, (String, String)> {
        let mut tree = Node::parse(body.as_bytes()).unwrap();
        match check(&mut tree, &OUTER, rules) {
            Ok(()) => {
                let mut out = Vec::new();
                tree.write(&mut out);
                Ok(String::from_utf8(out).unwrap())
            }
            Err(mismatch) => Err((mismatch.field(Spelling::Dots), mismatch.field(Spelling::Brackets))),
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_way() {
        for (body, dots, brackets) in [
            (r#"{}"#, "maxTokens", "maxTokens"),
            (r#"{"maxTokens":null}"#, "maxTokens", "maxTokens"),
            (r#"{"maxTokens":1.5}"#, "maxTokens", "maxTokens"),
            (r#"{"maxTokens":1,"mode":"auto"}"#, "mode", "mode"),
            (r#"{"maxTokens":1,"content":[{"text":"a"},{"text":"b","x":1}]}"#, "content.1.text.x", "content[1].x"),
            (r#"{"maxTokens":1,"content":[{"type":"image"}]}"#, "content.0.type", "content[0].type"),
            (r#"{"maxTokens":1,"max_tokens":1}"#, "max_tokens", "max_tokens"),
        ] {
            assert_eq!(check_all(body, Rules::default()), Err((dots.into(), brackets.into())), "{body}");
        }
    }

    #[test]
    fn protobuf_takes_either_spelling_and_numbers_as_text() {
        let rules = Rules { proto: true, lenient: false };
        let body = r#"{"max_tokens":"7","mode":"any","content":[{"type":"web_search","free":1}]}"#;
        let named = r#"{"maxTokens":7,"mode":"ANY","content":[{"type":"web_search","free":1}]}"#;
        assert_eq!(check_all(body, rules).unwrap(), named);
        assert!(check_all(r#"{"maxTokens":"x"}"#, rules).is_err());
        assert!(check_all(r#"{"maxTokens":1,"new":1}"#, Rules { lenient: true, ..rules }).is_ok());
    }
}
