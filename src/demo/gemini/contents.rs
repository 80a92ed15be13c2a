//! Reads the contents of a generateContent request: which response answers which call, and which signatures are ours. Must never
//! know sockets.

use std::borrow::Cow;

use super::super::ask::Ask;
use super::super::errors::Refusal;
use super::super::seal::{self, Seal};
use super::super::tree::Node;
use super::{CALL_SIGNATURE, TEXT_SIGNATURE};

/// What stands for a signature in a history that another vendor's model made, as the vendor documents it.
const STAND_INS: [&str; 2] = ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];
/// The members of a part of which it has exactly one.
const DATA: [&str; 9] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

/// Neighbouring contents of one side: a chat keeps every chunk of a stream as a content of its own.
struct Turn<'a> {
    is_model: bool,
    parts: Vec<Part<'a>>,
}

/// A part, the place of its content and its number in there.
struct Part<'a> {
    node: &'a Node<'a>,
    place: usize,
    number: usize,
}

impl<'a> Turn<'a> {
    fn all(&self, name: &str) -> Vec<&'a Node<'a>> {
        self.parts.iter().filter_map(|part| part.node.get(name)).collect()
    }
}

pub(super) fn read<'a>(contents: &'a [Node<'a>], insists: bool, seal: &Seal, ask: &mut Ask<'a>) -> Result<(), Refusal> {
    if contents.is_empty() {
        return Err(Refusal::new("* GenerateContentRequest.contents: contents is not specified"));
    }
    ask.prompt.count = contents.len();
    let asked = contents.iter().rposition(is_users_words).unwrap_or(0);
    let mut open: Vec<&'a Node<'a>> = Vec::new();
    for turn in turns(contents)? {
        for part in &turn.parts {
            check_part(part)?;
            check_signature(part, seal)?;
        }
        pair(&open, &turn.all("functionResponse"))?;
        open = turn.all("functionCall");
        if turn.is_model {
            if insists {
                expect_signed(&turn, asked)?;
            }
            model(&turn, ask);
        } else if open.is_empty() {
            user(&turn, ask);
        } else {
            return Err(Refusal::new("A function call turn must have the role model."));
        }
    }
    pair(&open, &[])
}

fn turns<'a>(contents: &'a [Node<'a>]) -> Result<Vec<Turn<'a>>, Refusal> {
    let mut turns: Vec<Turn<'a>> = Vec::new();
    for (place, content) in contents.iter().enumerate() {
        let parts = content.list_of("parts");
        if parts.is_empty() {
            let message =
                format!("* GenerateContentRequest.contents[{place}].parts: contents.parts must not be empty.");
            return Err(Refusal::new(message));
        }
        let is_model = match content.text_of("role") {
            Some("model") => true,
            Some("user" | "function") | None => false,
            Some(_) => return Err(Refusal::new("Please use a valid role: user, model.")),
        };
        let parts = parts.iter().enumerate().map(|(number, node)| Part { node, place, number });
        match turns.last_mut().filter(|turn| turn.is_model == is_model) {
            Some(turn) => turn.parts.extend(parts),
            None => turns.push(Turn { is_model, parts: parts.collect() }),
        }
    }
    Ok(turns)
}

/// A turn begins with words of the user, and not with what functions answered.
fn is_users_words(content: &Node<'_>) -> bool {
    content.text_of("role") != Some("model")
        && content.list_of("parts").iter().all(|part| part.get("functionResponse").is_none())
}

fn check_part(&Part { node: part, place, number }: &Part<'_>) -> Result<(), Refusal> {
    let way = format!("* GenerateContentRequest.contents[{place}].parts[{number}]");
    let given = DATA.iter().filter(|name| part.get(name).is_some()).count();
    if given != 1 {
        let what = if given == 0 { "must have one initialized field" } else { "has more than one field" };
        return Err(Refusal::new(format!("{way}.data: oneof field 'data' {what}")));
    }
    let data = part.get("inlineData").and_then(|blob| blob.text_of("data"));
    if data.is_some_and(|data| seal::decode(data).is_none()) {
        return Err(Refusal::new(format!(
            "Invalid value at 'contents[{place}].parts[{number}].inline_data.data' (TYPE_BYTES), Base64 decoding failed"
        )));
    }
    Ok(())
}

/// A signature that comes back must be one of ours, on the part that it was made for.
fn check_signature(&Part { node: part, place, number }: &Part<'_>, seal: &Seal) -> Result<(), Refusal> {
    let Some(signature) = part.text_of("thoughtSignature") else { return Ok(()) };
    let Some(bytes) = seal::decode(signature) else {
        let message = format!(
            "Invalid value at 'contents[{place}].parts[{number}].thought_signature' (TYPE_BYTES), Base64 decoding failed"
        );
        return Err(Refusal::new(message));
    };
    let stands_in = |known: &&str| known.as_bytes() == bytes || **known == *signature;
    let known = match part.get("functionCall") {
        _ if STAND_INS.iter().any(stands_in) => true,
        Some(call) => seal.open(CALL_SIGNATURE, signature, call.text_of("name").unwrap_or_default()).is_some(),
        None => seal.open(TEXT_SIGNATURE, signature, "").is_some(),
    };
    if known {
        return Ok(());
    }
    Err(Refusal::new(format!("Thought signature is not valid: contents[{place}].parts[{number}]")))
}

/// The first call of each step after the user `asked` must bring its signature.
fn expect_signed(turn: &Turn<'_>, asked: usize) -> Result<(), Refusal> {
    let calls = turn.parts.iter().filter_map(|part| Some((part, part.node.get("functionCall")?)));
    match calls.into_iter().next() {
        Some((&Part { node, place, number }, call)) if place > asked && node.get("thoughtSignature").is_none() => {
            let name = call.text_of("name").unwrap_or_default();
            let message = format!(
                "Function call is missing a thought_signature in functionCall parts. Function call `{name}`, contents[{place}].parts[{number}]."
            );
            Err(Refusal::new(message))
        }
        _ => Ok(()),
    }
}

/// Every call of the turn before has its response, by id where both have one, else in their order.
fn pair(calls: &[&Node<'_>], responses: &[&Node<'_>]) -> Result<(), Refusal> {
    if calls.len() != responses.len() {
        let message = if calls.is_empty() {
            "Please ensure that a function response turn comes right after a function call turn."
        } else {
            "Please ensure that the number of function response parts is equal to the number of function call parts of the \
             function call turn."
        };
        return Err(Refusal::new(message));
    }
    let mut left: Vec<&&Node<'_>> = calls.iter().collect();
    for response in responses {
        let id = response.text_of("id");
        let found = match id {
            Some(id) if calls.iter().any(|call| call.get("id").is_some()) => {
                left.iter().position(|call| call.text_of("id") == Some(id))
            }
            _ => Some(0),
        };
        let Some(found) = found else {
            let message = format!(
                "Function response id '{}' answers no function call of the turn before.",
                id.unwrap_or_default()
            );
            return Err(Refusal::new(message));
        };
        let call = left.remove(found);
        if call.text_of("name") != response.text_of("name") {
            let (given, wanted) = (response.text_of("name"), call.text_of("name"));
            let message = format!(
                "Function response '{}' does not match function call '{}'.",
                given.unwrap_or_default(),
                wanted.unwrap_or_default()
            );
            return Err(Refusal::new(message));
        }
    }
    Ok(())
}

fn model(turn: &Turn<'_>, ask: &mut Ask<'_>) {
    let told = turn.parts.iter().map(|part| part.node).filter(|part| part.flag_of("thought") != Some(true));
    told.filter_map(|part| part.text_of("text")).for_each(|text| ask.prompt.prefix.add(text));
    ask.prompt.model();
}

fn user<'a>(turn: &Turn<'a>, ask: &mut Ask<'a>) {
    for part in turn.parts.iter().map(|part| part.node) {
        add_media(part, ask);
        if let Some(text) = part.text_of("text").filter(|text| !text.is_empty()) {
            ask.prompt.prefix.add(text);
            ask.prompt.user(Some(text.into()));
        }
        if let Some(response) = part.get("functionResponse") {
            let (text, failed) = outcome(response.get("response").unwrap_or(&Node::Null));
            ask.prompt.prefix.add(&text);
            ask.prompt.result(text, failed);
            response.list_of("parts").iter().for_each(|part| add_media(part, ask));
        }
    }
    ask.prompt.user(None);
}

/// The text under the usual names, else the object as JSON.
fn outcome<'a>(response: &'a Node<'_>) -> (Cow<'a, str>, bool) {
    let failed = response.get("error").is_some();
    let names = ["error", "result", "output", "content"];
    let text = names.iter().find_map(|name| response.text_of(name));
    let text = text.filter(|_| response.members().len() == 1).map(Cow::from).unwrap_or_else(|| {
        let mut json = Vec::new();
        response.write(&mut json);
        String::from_utf8_lossy(&json).into_owned().into()
    });
    (text, failed)
}

fn add_media<'a>(part: &'a Node<'_>, ask: &mut Ask<'a>) {
    let blob = part.get("inlineData").map(|blob| blob.text_of("mimeType").unwrap_or_default());
    let file = part.get("fileData").map(|file| file.text_of("mimeType").unwrap_or("url"));
    ask.prompt.media.extend(blob.or(file).map(Cow::from));
}
