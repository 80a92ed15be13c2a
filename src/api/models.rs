//! `GET /v1/models` and `/v1/models/{id}`: OpenAI's listing shape with our own fields beside, Anthropic's, or Gemini's, by
//! the caller. Public: no key is asked.

use std::sync::Arc;

use axum::extract::{RawQuery, State as Extract};
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::State;
use super::error::{ClientError, Code};
use super::listing;
use super::params::{Id, Params};
use super::respond::{self, Answer, shown};
use crate::catalog::{Catalog, ChannelState, Lookup, Model};
use crate::pricing::{Amount, PriceRow};
use crate::wire::Protocol;

/// Lists what can be called now; `?all=true` lists everything.
pub async fn list(
    Extract(state): Extract<Arc<State>>,
    uri: Uri,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let protocol = listing::protocol_of(&headers, uri.path());
    let query = query.as_deref();
    let catalog = state.catalog.load();
    let all = respond::in_protocol(protocol, wants_all(query))?;
    let listed: Vec<&Arc<Model>> = catalog.models().iter().filter(|model| all || available(model)).collect();
    let list = match protocol {
        Protocol::OpenAiChat | Protocol::OpenAiResponses => {
            Ok(json!({"object": "list", "data": listed.iter().map(|model| card(model)).collect::<Vec<_>>()}))
        }
        Protocol::AnthropicMessages => listing::anthropic(&listed, query),
        Protocol::GeminiGenerate => listing::gemini(&listed, query),
    };
    respond::ok(&respond::in_protocol(protocol, list)?)
}

/// SDKs send paging and more with their listings; only our own parameter is looked at.
fn wants_all(query: Option<&str>) -> Result<bool, ClientError> {
    let ours: Vec<&str> = query.unwrap_or_default().split('&').filter(|pair| pair.starts_with("all=")).collect();
    Params::read(Some(&ours.join("&")), &["all"])?.flag("all")
}

pub async fn show(Extract(state): Extract<Arc<State>>, uri: Uri, headers: HeaderMap, Id(id): Id) -> Answer {
    let protocol = listing::protocol_of(&headers, uri.path());
    let catalog = state.catalog.load();
    let model = respond::in_protocol(protocol, found(&catalog, &id))?;
    respond::ok(&match protocol {
        Protocol::OpenAiChat | Protocol::OpenAiResponses => card(model),
        Protocol::AnthropicMessages => listing::anthropic_card(model),
        Protocol::GeminiGenerate => listing::gemini_card(model),
    })
}

/// The model of a name, or the 404 that says what to ask for.
pub fn found<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Arc<Model>, ClientError> {
    match catalog.lookup(name) {
        Lookup::Found(model) => Ok(model),
        Lookup::Retired { replacement } => Err(retired(name, replacement.as_deref())),
        Lookup::Unknown { nearest } => Err(unknown(name, &nearest)),
    }
}

pub fn retired(name: &str, replacement: Option<&str>) -> ClientError {
    let next = replacement.map_or_else(
        || "it has no replacement; GET /v1/models lists what there is".to_owned(),
        |id| format!("its replacement is {id:?}"),
    );
    let mut error = ClientError::new(Code::ModelRetired, format!("model {:?} is retired: {next}", shown(name)));
    error.replacement = replacement.map(Arc::from);
    error.param("model")
}

pub fn unknown(name: &str, nearest: &[Arc<str>]) -> ClientError {
    let next = match nearest {
        [] => "GET /v1/models lists what there is".to_owned(),
        names => format!("did you mean {}?", names.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ")),
    };
    ClientError::new(Code::ModelNotFound, format!("there is no model {:?}: {next}", shown(name))).param("model")
}

fn available(model: &Model) -> bool {
    model.channels.iter().any(|channel| channel.state == ChannelState::Ready)
}

/// The first four fields are OpenAI's; its SDKs ignore the others. Channels and costs are for operators alone.
fn card(model: &Model) -> Value {
    json!({
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.vendor,
        "name": model.name,
        "aliases": model.aliases,
        "available": available(model),
        "context": model.context,
        "output_max": model.output_max,
        "features": model.features,
        "pricing": model.rates.rows().iter().map(price).collect::<Vec<_>>(),
    })
}

/// A price row: `usd` per `per` units of `meter`, under the conditions in `when`.
fn price(row: &PriceRow) -> Value {
    let usd = Amount::from_nano(i64::try_from(row.rate.nano_usd).unwrap_or(i64::MAX));
    let mut price = json!({"meter": row.meter.as_str(), "per": row.rate.per, "usd": usd});
    let mut when = serde_json::Map::new();
    for (key, value) in row.when.iter() {
        when.insert(key.to_string(), json!(value));
    }
    if let Some(tokens) = row.input_tokens_gt {
        when.insert("input_tokens_gt".to_owned(), json!(tokens));
    }
    if !when.is_empty() {
        price["when"] = Value::Object(when);
    }
    price
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::{Meter, PriceRowId, Rate};

    #[test]
    fn a_price_is_a_decimal_text_with_its_conditions() {
        let mut row = PriceRow {
            id: PriceRowId(1),
            meter: Meter::OutputTokens,
            rate: Rate { nano_usd: 2_500_000_000, per: 1_000_000 },
            when: Arc::from([]),
            input_tokens_gt: None,
        };
        assert_eq!(price(&row), json!({"meter": "output_tokens", "per": 1_000_000, "usd": "2.5"}));
        row.when = Arc::from([(Arc::from("service_tier"), Arc::from("priority"))]);
        row.input_tokens_gt = Some(200_000);
        assert_eq!(price(&row)["when"], json!({"service_tier": "priority", "input_tokens_gt": 200_000}));
    }

    #[test]
    fn a_404_says_what_to_ask_for() {
        let error = unknown("gpt-5o", &[Arc::from("gpt-4o"), Arc::from("gpt-5")]);
        assert_eq!((error.status, error.code, error.param.as_deref()), (404, Code::ModelNotFound, Some("model")));
        assert_eq!(error.message, "there is no model \"gpt-5o\": did you mean \"gpt-4o\", \"gpt-5\"?");
        assert!(unknown(&"x".repeat(9999), &[]).message.len() < 300);
        let error = retired("sora-2", Some("veo-4"));
        assert_eq!((error.status, error.code), (404, Code::ModelRetired));
        assert_eq!(error.message, "model \"sora-2\" is retired: its replacement is \"veo-4\"");
    }

    #[test]
    fn parameters_of_sdks_are_ignored() {
        for (query, all) in
            [("", false), ("limit=1000&after_id=x", false), ("limit=1&all=true", true), ("key=k", false)]
        {
            assert_eq!(wants_all(Some(query)).unwrap(), all, "{query}");
        }
        assert_eq!(wants_all(Some("all=perhaps")).unwrap_err().param.as_deref(), Some("all"));
    }
}
