//! One request → one script: paths, counting, which protocol answers. Shared by both HTTP versions; must never know sockets.

use std::borrow::Cow;

use super::ask::{Ask, Thinking};
use super::chat::{self, Chat};
use super::errors::{Form, Refusal};
use super::extra::completions::{self, Completion};
use super::extra::{embeddings, models, moderations, rerank};
use super::gemini::{self, Framing, Gemini, Method};
use super::knobs::Knobs;
use super::messages::{self, Messages};
use super::put::put;
use super::reply::{Identity, Reply};
use super::responses::{self, Responses};
use super::script::{Frame, Script};
use super::seen::State;
use super::tree::Node;

/// Bytes of a request body, at most.
pub(super) const BODY_BYTES_MAX: usize = 64 << 20;
/// Bytes of a request head, at most.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;
/// Anthropic's API wants its version named.
pub(super) const VERSION_HEADER: &str = "anthropic-version";
/// What is not a call has no identity of its own.
const PLAIN_REQUEST_ID: &str = "req_demo";

/// A request that has been read completely.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// `VERSION_HEADER` is among its headers.
    pub versioned: bool,
    pub body: &'a [u8],
}

/// What a path stands for, whatever comes before it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route<'a> {
    Chat,
    Completions,
    Responses,
    CountInput,
    Messages,
    CountMessages,
    Gemini(Cow<'a, str>, Method),
    Embeddings,
    Rerank,
    Moderations,
    Models,
    Model(&'a str),
}

const ENDINGS: [(&str, Route<'static>); 11] = [
    ("/chat/completions", Route::Chat),
    ("/completions", Route::Completions),
    ("/responses", Route::Responses),
    ("/responses/input_tokens", Route::CountInput),
    ("/messages", Route::Messages),
    ("/messages/count_tokens", Route::CountMessages),
    ("/embeddings", Route::Embeddings),
    ("/rerank", Route::Rerank),
    ("/moderations", Route::Moderations),
    ("/models", Route::Models),
    ("/models/", Route::Models),
];

fn path_of(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/')
}

fn route(path: &str) -> Option<Route<'_>> {
    if let Some((_, route)) = ENDINGS.iter().find(|(ending, _)| path.ends_with(ending)) {
        return Some(route.clone());
    }
    let (list, name) = path.rsplit_once('/').filter(|(list, _)| list.ends_with("/models"))?;
    match name.rsplit_once(':').and_then(|(model, method)| Some((model, Method::parse(method)?))) {
        Some((model, method)) => Some(Route::Gemini(unescaped(model), method)),
        None if list.is_empty() || name.is_empty() => None,
        None => Some(Route::Model(name)),
    }
}

/// Percent signs in a path resolved.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

impl Route<'_> {
    fn protocol(&self) -> Option<&'static str> {
        match self {
            Route::Chat => Some("openai.chat"),
            Route::Responses | Route::CountInput => Some("openai.responses"),
            Route::Messages | Route::CountMessages => Some("anthropic.messages"),
            Route::Gemini(..) => Some("gemini.generate"),
            Route::Completions | Route::Embeddings | Route::Rerank | Route::Moderations => None,
            Route::Models | Route::Model(_) => None,
        }
    }

    /// The vendor whose errors this path answers with.
    fn form(&self, asked: Asked<'_>) -> Form {
        match self {
            Route::Messages | Route::CountMessages => Form::Anthropic,
            Route::Gemini(_, Method::Stream) if !has_events(asked.target) => Form::GoogleList,
            Route::Gemini(..) => Form::Google,
            Route::Models | Route::Model(_) if asked.versioned => Form::Anthropic,
            Route::Models | Route::Model(_) if asked.target.contains("/v1beta/") => Form::Google,
            Route::Models | Route::Model(_) => Form::OpenAi,
            Route::Chat | Route::Completions | Route::Responses | Route::CountInput => Form::OpenAi,
            Route::Embeddings | Route::Rerank | Route::Moderations => Form::OpenAi,
        }
    }

    fn is_list(&self) -> bool {
        matches!(self, Route::Models | Route::Model(_))
    }
}

/// The query asks for server-sent events.
fn has_events(target: &str) -> bool {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|field| field == "alt=sse")
}

/// The chat protocol that a path belongs to.
pub(super) fn protocol_of(target: &str) -> Option<&'static str> {
    route(path_of(target)).and_then(|route| route.protocol())
}

/// Answers a request that has been read completely.
pub(super) fn answer(state: &State, asked: Asked<'_>) -> Script {
    let path = path_of(asked.target);
    let Some(route) = route(path) else {
        return refuse(404, &format!("invalid URL ({} {path})", asked.method), "unknown_url");
    };
    let form = route.form(asked);
    match (asked.method, route.is_list()) {
        ("POST", false) => call(state, &route, form, asked),
        ("GET" | "HEAD", true) => {
            let body = match route {
                Route::Model(name) => models::model(form, name),
                _ => models::list(form),
            };
            Script::json(200, body.to_string().into(), &Frame { form, request_id: PLAIN_REQUEST_ID.to_owned() })
        }
        _ => refuse(405, &format!("the method {} is not allowed for {path}", asked.method), "method_not_supported"),
    }
}

/// Answers a request that cannot be read; the connection ends with it.
pub(super) fn refuse(status: u16, message: &str, code: &'static str) -> Script {
    let frame = Frame { form: Form::OpenAi, request_id: PLAIN_REQUEST_ID.to_owned() };
    refused(&Refusal::new(message).status(status).code(code), &frame)
}

fn refused(refusal: &Refusal, frame: &Frame) -> Script {
    Script::json(refusal.status, refusal.body(frame.form, &frame.request_id), frame)
}

/// A call on its way to an answer.
struct Call<'a> {
    state: &'a State,
    identity: Identity,
    frame: Frame,
    asked: Asked<'a>,
}

fn call(state: &State, route: &Route<'_>, form: Form, asked: Asked<'_>) -> Script {
    let identity = state.count_call();
    let frame = Frame { form, request_id: identity.request_id.clone() };
    let call = Call { state, identity, frame, asked };
    let script = match route {
        Route::Chat => call.chat(),
        Route::Completions => call.completions(),
        Route::Responses => call.responses(false),
        Route::CountInput => call.responses(true),
        Route::Messages => call.messages(false),
        Route::CountMessages => call.messages(true),
        Route::Gemini(model, method) => call.gemini(model, *method),
        Route::Embeddings => call.other(|tree, _| embeddings::embed(tree)),
        Route::Rerank => call.other(rerank::rerank),
        Route::Moderations => call.other(moderations::moderate),
        Route::Models | Route::Model(_) => Err(Refusal::new("a list is no call")),
    };
    script.unwrap_or_else(|refusal| refused(&refusal, &call.frame))
}

impl Call<'_> {
    /// The knobs for this request, which counts as a call of its model.
    fn aim(&self, model: &str) -> Knobs {
        let (ordinal, roll) = self.state.count_model(model);
        let mut knobs = Knobs::of_model(model);
        knobs.aim(ordinal, roll);
        knobs
    }

    fn compose<'a>(&self, ask: &'a Ask<'a>, knobs: &Knobs) -> Reply<'a> {
        let cached = self.state.cache.look(&ask.model, &ask.prompt.prefix);
        Reply::compose(ask, knobs, cached)
    }

    fn parse(&self) -> Result<Node<'_>, Refusal> {
        let tree = Node::parse(self.asked.body).map_err(|error| Refusal::unreadable(&error))?;
        match tree {
            Node::Object(_) => Ok(tree),
            _ => Err(Refusal::new("the request body could not be read: it is no object")),
        }
    }

    fn chat(&self) -> Result<Script, Refusal> {
        let ask = chat::read(self.asked.body)?;
        let knobs = self.aim(&ask.model);
        let reply = self.compose(&ask, &knobs);
        let writer = Chat {
            identity: &self.identity,
            model: &ask.model,
            choices: ask.choices,
            reply: &reply,
            pings: knobs.pings,
        };
        Ok(Script::answer(&writer, ask.stream, ask.include_usage, &knobs, &self.frame))
    }

    fn completions(&self) -> Result<Script, Refusal> {
        let tree = self.parse()?;
        let ask = completions::read(&tree)?;
        let knobs = self.aim(&ask.model);
        let reply = self.compose(&ask, &knobs);
        let writer = Completion { identity: &self.identity, model: &ask.model, choices: ask.choices, reply: &reply };
        Ok(Script::answer(&writer, ask.stream, ask.include_usage, &knobs, &self.frame))
    }

    fn responses(&self, count_only: bool) -> Result<Script, Refusal> {
        let mut tree = self.parse()?;
        let lenient = is_lenient(tree.text_of("model"));
        responses::check(&mut tree, count_only, lenient)?;
        let ask = responses::read(&tree, self.state)?;
        let knobs = self.aim(&ask.model);
        if count_only {
            let count = ask.prompt.prefix.tokens();
            return Ok(
                self.counted(format_args!(r#"{{"object":"response.input_tokens","input_tokens":{count}}}"#), &knobs)
            );
        }
        let reply = self.compose(&ask, &knobs);
        let writer = Responses::new(&self.identity, &ask.model, &reply, &self.state.seal, &tree, knobs.pings);
        if tree.flag_of("store").unwrap_or(true) {
            self.state.store(&self.identity.id, writer.call_ids());
        }
        Ok(Script::answer(&writer, ask.stream, ask.include_usage, &knobs, &self.frame))
    }

    fn messages(&self, count_only: bool) -> Result<Script, Refusal> {
        if !self.asked.versioned {
            return Err(Refusal::new(format!("{VERSION_HEADER}: header is required")));
        }
        let mut tree = self.parse()?;
        let lenient = is_lenient(tree.text_of("model"));
        messages::check(&mut tree, count_only, lenient)?;
        let ask = messages::read(&tree, &self.state.seal)?;
        let knobs = self.aim(&ask.model);
        if count_only {
            return Ok(self.counted(format_args!(r#"{{"input_tokens":{}}}"#, ask.prompt.prefix.tokens()), &knobs));
        }
        let reply = self.compose(&ask, &knobs);
        let writer = Messages {
            identity: &self.identity,
            model: &ask.model,
            reply: &reply,
            seal: &self.state.seal,
            pings: knobs.pings,
        };
        Ok(Script::answer(&writer, ask.stream, ask.include_usage, &knobs, &self.frame))
    }

    fn gemini(&self, model: &str, method: Method) -> Result<Script, Refusal> {
        let mut tree = self.parse()?;
        gemini::check(&mut tree, method, is_lenient(Some(model)))?;
        match method {
            Method::Embed | Method::BatchEmbed => {
                let body = gemini::embed(&tree)?;
                return Ok(Script::body(body, &self.aim(model), &self.frame));
            }
            Method::CountTokens => {
                let asked = tree.get("generateContentRequest").unwrap_or(&tree);
                let ask = gemini::read(asked, model, false, &self.state.seal)?;
                let count = ask.prompt.prefix.tokens();
                let body = format_args!(
                    r#"{{"totalTokens":{count},"promptTokensDetails":[{{"modality":"TEXT","tokenCount":{count}}}]}}"#
                );
                return Ok(self.counted(body, &self.aim(model)));
            }
            Method::Generate | Method::Stream => {}
        }
        let ask = gemini::read(&tree, model, method == Method::Stream, &self.state.seal)?;
        let knobs = self.aim(model);
        let reply = self.compose(&ask, &knobs);
        let writer = Gemini {
            identity: &self.identity,
            model,
            choices: ask.choices,
            reply: &reply,
            seal: &self.state.seal,
            framing: if has_events(self.asked.target) { Framing::Events } else { Framing::List },
            thinks: ask.thinking != Thinking::Off || reply.reasoning.is_some(),
        };
        Ok(Script::answer(&writer, ask.stream, ask.include_usage, &knobs, &self.frame))
    }

    fn counted(&self, body: std::fmt::Arguments<'_>, knobs: &Knobs) -> Script {
        let mut out = Vec::with_capacity(128);
        put(&mut out, body);
        Script::body(out, knobs, &self.frame)
    }

    /// What has a body and nothing else.
    fn other(&self, write: impl Fn(&Node<'_>, &Identity) -> Result<Vec<u8>, Refusal>) -> Result<Script, Refusal> {
        let tree = self.parse()?;
        let knobs = self.aim(tree.text_of("model").unwrap_or_default());
        Ok(Script::body(write(&tree, &self.identity)?, &knobs, &self.frame))
    }
}

/// The model's name says that unknown fields pass.
fn is_lenient(model: Option<&str>) -> bool {
    model.is_some_and(|model| Knobs::of_model(model).lenient)
}
