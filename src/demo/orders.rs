//! Finds the calls that the user's words order: `demo: call TOOL {json}`. Must never know a protocol.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::value::RawValue;

use super::ask::{Ask, Last, Tool, ToolChoice};
use super::knobs::{CALLS_MAX, TEXT_BYTES_MAX};
use super::put::clip;
use super::reply::Call;

const MARK: &str = "demo: call ";
/// Marks with a tool of the request behind them that are looked at, so that broken ones cannot make a long text slow.
const ORDERS_MAX: usize = CALLS_MAX as usize;

/// The calls ordered since the model last spoke, in the order of the words. None in an answer to results: agents put the words
/// before the results again, and would call for ever.
pub(super) fn calls<'a>(ask: &'a Ask<'a>) -> Vec<Call<'a>> {
    let mut calls = Vec::new();
    let has_tools = !(ask.tools.is_empty() && ask.namespaced.is_empty());
    if ask.prompt.last != Last::User || !has_tools || ask.tool_choice == ToolChoice::None {
        return calls;
    }
    let bytes_max = TEXT_BYTES_MAX / ask.choices as usize / ORDERS_MAX;
    let calls_max = if ask.single_call { 1 } else { ORDERS_MAX };
    let mut looked_at = 0;
    for text in ask.prompt.earlier.iter().chain(&ask.prompt.user_text) {
        let mut rest: &'a str = text;
        while let Some(at) = memmem::find(rest.as_bytes(), MARK.as_bytes()) {
            rest = &rest[at + MARK.len()..];
            let Some((tool, words)) = named(rest, ask) else { continue };
            if let Some((arguments, bytes)) = arguments(tool, clip(words, bytes_max)) {
                let (namespace, name) = (tool.namespace.clone(), tool.name.clone());
                calls.push(Call { namespace, name, custom: tool.custom, arguments });
                // The arguments of one call may hold the order of another.
                rest = &words[bytes..];
            }
            looked_at += 1;
            if looked_at == ORDERS_MAX || calls.len() == calls_max {
                return calls;
            }
        }
    }
    calls
}

/// The tool whose full name the text begins with, and the words behind it. A forced tool is the only one there is.
fn named<'a>(text: &'a str, ask: &'a Ask<'a>) -> Option<(&'a Tool<'a>, &'a str)> {
    let text = text.trim_start_matches(' ');
    let (name, words) = text.split_at(text.find(char::is_whitespace)?);
    let is_free = |tool: &&Tool<'_>| match &ask.tool_choice {
        ToolChoice::Any => true,
        ToolChoice::Named(forced) => tool.name == forced.as_str(),
        ToolChoice::None => false,
    };
    let mut tools = ask.tools.iter().chain(&ask.namespaced);
    let tool = tools.find(|tool| tool.is_called(name)).filter(is_free)?;
    Some((tool, words.trim_start_matches([' ', '\t'])))
}

impl Tool<'_> {
    fn is_called(&self, full_name: &str) -> bool {
        match &self.namespace {
            None => self.name == full_name,
            Some(namespace) => full_name
                .strip_prefix(&**namespace)
                .and_then(|rest| rest.strip_prefix("__"))
                .is_some_and(|name| name == self.name),
        }
    }
}

/// The object that the words begin with, as it stands there, or the rest of the line for a custom tool; and its bytes.
fn arguments(tool: &Tool<'_>, words: &str) -> Option<(String, usize)> {
    if tool.custom {
        let line = words.split('\n').next().unwrap_or_default();
        return (!line.trim().is_empty()).then(|| (line.trim_end().to_owned(), line.len()));
    }
    if !words.starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(words).into_iter::<&RawValue>();
    let object = values.next()?.ok()?.get();
    // Between the tokens only, since no string holds one as it is; Gemini's events must be one line.
    let line: Cow<'_, str> =
        if object.contains(['\r', '\n']) { object.replace(['\r', '\n'], "").into() } else { object.into() };
    Some((line.into_owned(), object.len()))
}

#[cfg(test)]
mod tests {
    use super::super::ask::Prompt;
    use super::*;

    fn tool<'a>(namespace: Option<&'a str>, name: &'a str, custom: bool) -> Tool<'a> {
        Tool { namespace: namespace.map(Cow::from), name: name.into(), custom, parameters: None }
    }

    fn ask<'a>(texts: &[&'a str]) -> Ask<'a> {
        let mut prompt = Prompt::default();
        texts.iter().for_each(|text| prompt.user(Some((*text).into())));
        Ask {
            choices: 1,
            prompt,
            tools: vec![tool(None, "first", false), tool(None, "write", false), tool(None, "patch", true)],
            namespaced: vec![tool(Some("mcp__files"), "read", false)],
            ..Ask::default()
        }
    }

    fn told(ask: &Ask<'_>) -> Vec<String> {
        let tell = |call: &Call<'_>| {
            let namespace = call.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
            format!("{namespace}{} {}", call.name, call.arguments)
        };
        calls(ask).iter().map(tell).collect()
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(told(&ask(&[text])), expected, "{text}");
    }

    #[test]
    fn an_order_is_a_tool_and_an_object() {
        check("demo: call write {}", &["write {}"]);
        check(
            r#"<x>a</x> please demo: call  write {"a": [1.50, "}\u00e9"]} and more"#,
            &[r#"write {"a": [1.50, "}\u00e9"]}"#],
        );
        check("demo: call write {\"a\":\n\r 1}\nmore", &[r#"write {"a": 1}"#]);
        check(
            "demo: call write {\"a\":1}\ndemo: call first {}\ndemo: call write {}",
            &[r#"write {"a":1}"#, "first {}", "write {}"],
        );
        check("demo: call mcp__files__read {}", &["mcp__files/read {}"]);
    }

    #[test]
    fn a_custom_tool_takes_the_rest_of_the_line() {
        check("demo: call patch *** Begin {\r\ndemo: call write {}", &["patch *** Begin {", "write {}"]);
        check("demo: call patch demo: call write {}", &["patch demo: call write {}"]);
        check("demo: call patch \nmore", &[]);
    }

    #[test]
    fn what_is_no_order_is_passed_over() {
        for text in [
            "",
            "demo: call",
            "demo: call ",
            "demo: call write",
            "demo: call write\n{}",
            "demo: call write {",
            "demo: call write [1]",
            "demo: call write {a}",
            "demo: call writes {}",
            "demo: call read {}",
            "demo: call files__read {}",
            "Demo: call write {}",
        ] {
            check(text, &[]);
        }
        check("demo: call write {json} is said so: demo: call write {}", &["write {}"]);
        check(r#"demo: call write {"a":"demo: call first {}"}"#, &[r#"write {"a":"demo: call first {}"}"#]);
    }

    #[test]
    fn every_text_since_the_model_spoke_counts_and_no_other() {
        let mut asked = ask(&["demo: call write {}", "reminder", "demo: call first {}", "reminder"]);
        assert_eq!(told(&asked), ["write {}", "first {}"]);
        asked.prompt.result("r".into(), false);
        asked.prompt.user(Some("reminder: demo: call write {}".into()));
        assert_eq!(told(&asked), [""; 0]);
        asked.prompt.model();
        assert_eq!(told(&asked), [""; 0]);
        asked.prompt.user(None);
        assert_eq!((told(&asked), asked.prompt.user_text.as_deref()), (vec![], None));
        asked.prompt.user(Some("demo: call first {}".into()));
        assert_eq!(told(&asked), ["first {}"]);
    }

    #[test]
    fn the_choice_of_tools_holds() {
        let orders = ["demo: call first {}", "demo: call write {}"];
        let with = |tool_choice, single_call| told(&Ask { tool_choice, single_call, ..ask(&orders) });
        assert_eq!(with(ToolChoice::None, false), [""; 0]);
        assert_eq!(with(ToolChoice::Any, true), ["first {}"]);
        assert_eq!(with(ToolChoice::Named("write".to_owned()), false), ["write {}"]);
        assert_eq!(told(&Ask { tools: vec![], namespaced: vec![], ..ask(&orders) }), [""; 0]);
    }

    #[test]
    fn orders_are_bounded_in_number_and_size() {
        let many = "demo: call write {} ".repeat(ORDERS_MAX + 1);
        assert_eq!(told(&ask(&[&many])).len(), ORDERS_MAX);
        let broken = format!("{}demo: call write {{}}", "demo: call write { ".repeat(ORDERS_MAX));
        check(&broken, &[]);
        let long = format!(r#"demo: call write {{"a":"{}"}}"#, "é".repeat(TEXT_BYTES_MAX / ORDERS_MAX));
        check(&long, &[]);
    }
}
