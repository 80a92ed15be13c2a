//! `qingwave catalog`: the files as they are, and the reload of the running gateway.

use reqwest::Method;
use serde_json::{Value, json};

use super::books::{Absent, Books};
use super::print::{self, cell, count, pairs, table};
use super::{CatalogCommand, Failure, Place, check};
use crate::catalog::{Catalog, ChannelState, Lookup, Model};
use crate::pricing::{Amount, Meter, PriceRow};

pub fn run(command: CatalogCommand) -> Result<(), Failure> {
    match command {
        CatalogCommand::List { place } => list(&place),
        CatalogCommand::Show { model, place } => show(&place, &model),
        CatalogCommand::Lint { place } => match check::compile(&place.config()?) {
            Ok(catalog) => check::praise(place.json, &catalog),
            Err(broken) => check::broken(place.json, &broken),
        },
        CatalogCommand::Reload { force, place } => reload(&place, force),
    }
}

fn compiled(place: &Place) -> Result<Catalog, Failure> {
    check::compile(&place.config()?).map_err(|broken| Failure::BadConfiguration(broken.rendered))
}

fn list(place: &Place) -> Result<(), Failure> {
    let catalog = compiled(place)?;
    let models: Vec<Value> = catalog.models().iter().map(|model| model_json(model)).collect();
    if place.json {
        return print::json(&json!({"rev": catalog.rev, "data": models}));
    }
    let rows: Vec<_> = catalog
        .models()
        .iter()
        .map(|model| {
            let channels = format!("{}/{}", ready(model), model.channels.len());
            let price = |meter| base_price(model, meter).unwrap_or_else(|| "-".to_owned());
            let (input, output) = (price(Meter::InputTokens), price(Meter::OutputTokens));
            vec![model.id.to_string(), model.vendor.to_string(), channels, model.context.to_string(), input, output]
        })
        .collect();
    print::out(&table(&["ID", "VENDOR", "READY", "CONTEXT", "INPUT/1M", "OUTPUT/1M"], &rows))
}

fn ready(model: &Model) -> usize {
    model.channels.iter().filter(|channel| channel.state == ChannelState::Ready).count()
}

/// USD per million units of a meter, without conditions.
fn base_price(model: &Model, meter: Meter) -> Option<String> {
    let row = model
        .rates
        .rows()
        .iter()
        .find(|row| row.meter == meter && row.when.is_empty() && row.input_tokens_gt.is_none())?;
    let per_million = u128::from(row.rate.nano_usd).checked_mul(1_000_000)? / u128::from(row.rate.per.max(1));
    i64::try_from(per_million).ok().map(|nano| Amount::from_nano(nano).to_string())
}

fn show(place: &Place, name: &str) -> Result<(), Failure> {
    let catalog = compiled(place)?;
    let model = match catalog.lookup(name) {
        Lookup::Found(model) => model,
        Lookup::Retired { replacement } => {
            let next =
                replacement.map_or_else(|| "without a replacement".to_owned(), |id| format!("its replacement is {id}"));
            return Err(Failure::failed(format!("model {name:?} is retired, {next}")));
        }
        Lookup::Unknown { nearest } => {
            let near =
                if nearest.is_empty() { String::new() } else { format!(": did you mean {}?", nearest.join(", ")) };
            return Err(Failure::failed(format!("there is no model {name:?}{near}")));
        }
    };
    let view = model_json(model);
    if place.json {
        return print::json(&view);
    }
    let fields = ["id", "name", "vendor", "aliases", "context", "output_max", "features"];
    let mut text = pairs(&fields.map(|field| (field, cell(&view[field]))));
    let price = |row: &Value| vec![cell(&row["meter"]), cell(&row["usd"]), cell(&row["per"]), cell(&row["when"])];
    text.push('\n');
    text.push_str(&table(&["METER", "USD", "PER", "WHEN"], &rows(&view["price"], price)));
    let channel = |c: &Value| {
        ["id", "provider", "upstream_model", "protocol", "state", "priority", "weight"].map(|f| cell(&c[f])).to_vec()
    };
    text.push('\n');
    text.push_str(&table(
        &["CHANNEL", "PROVIDER", "UPSTREAM", "PROTOCOL", "STATE", "PRIORITY", "WEIGHT"],
        &rows(&view["channels"], channel),
    ));
    print::out(&text)
}

fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().map(|items| items.iter().map(row).collect()).unwrap_or_default()
}

fn model_json(model: &Model) -> Value {
    let channels: Vec<Value> = model
        .channels
        .iter()
        .map(|channel| {
            json!({
                "id": channel.id,
                "provider": channel.provider.id,
                "upstream_model": channel.upstream_model,
                "protocol": channel.protocol.as_str(),
                "state": channel.state.as_str(),
                "priority": channel.priority,
                "weight": channel.weight,
            })
        })
        .collect();
    json!({
        "id": model.id,
        "name": model.name,
        "vendor": model.vendor,
        "aliases": model.aliases,
        "context": model.context,
        "output_max": model.output_max,
        "features": model.features,
        "available": ready(model) > 0,
        "price": model.rates.rows().iter().map(price_json).collect::<Vec<_>>(),
        "channels": channels,
    })
}

fn price_json(row: &PriceRow) -> Value {
    let usd = Amount::from_nano(i64::try_from(row.rate.nano_usd).unwrap_or(i64::MAX));
    let mut when: Vec<String> = row.when.iter().map(|(key, value)| format!("{key}={value}")).collect();
    when.extend(row.input_tokens_gt.map(|tokens| format!("input_tokens>{tokens}")));
    json!({"meter": row.meter.as_str(), "usd": usd, "per": row.rate.per, "when": when})
}

fn reload(place: &Place, force: bool) -> Result<(), Failure> {
    let path = format!("/admin/catalog/reload?force={force}");
    let reloaded = Books::with(&place.config()?, Absent::Refuse, |books| match books {
        Books::Gateway(admin) => admin.ask(Method::POST, &path, None),
        Books::Store(_) => Err(Failure::failed(
            "no gateway runs on this data directory: it reads the catalog when it starts; try catalog lint",
        )),
    })?;
    if place.json {
        return print::json(&reloaded);
    }
    let changes = reloaded["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = pairs(&["rev", "models", "channels"].map(|field| (field, cell(&reloaded[field]))));
    text.push_str(&format!("{}\n", count(changes.len(), "change")));
    for change in changes {
        text.push_str(&format!("  {}\n", cell(change)));
    }
    print::out(&text)
}
