//! The JSON and CSV of usage records, as the contract names them.

use super::*;

const CONTRACT: &str = "id created_at account key_id model requested_model protocol operation stream status error_code finish \
     usage usage_source charge sources price_row_ids catalog_rev latency_ms first_content_ms attempts losses \
     client_request_id";
const OPERATORS: &str = "channel provider cost upstream_request_id";

#[test]
fn json_has_the_contracts_fields_in_its_order() {
    let record = full();
    let id = record.id.to_string();
    let customer = serde_json::to_string(&record.customer_json()).unwrap();
    let due = format!(
        "{{\"id\":\"{id}\",\"created_at\":1767225600000,\"account\":\"acc\",\"key_id\":\"key-1\",\"model\":\"model\",\
         \"requested_model\":\"model-alias\",\"protocol\":\"openai.chat\",\"operation\":\"chat\",\"stream\":true,\
         \"status\":200,\"error_code\":\"stream_interrupted\",\"finish\":\"stop\",\"usage\":{{\"input_tokens\":1500}},\
         \"usage_source\":\"reported\",\"charge\":\"0.0000015\",\"sources\":[{{\"tier\":\"free\",\"grant\":\"20454\",\
         \"amount\":\"0.0000005\"}},{{\"tier\":\"permanent\",\"grant\":\"permanent\",\"amount\":\"0.000001\"}}],\
         \"price_row_ids\":[\"0000000000000007\"],\"catalog_rev\":\"rev-1\",\"latency_ms\":1234,\"first_content_ms\":56,\
         \"attempts\":2,\"losses\":[\"seed;dropped\",\"top_k;dropped\"],\
         \"client_request_id\":\"=HYPERLINK(\\\"x\\\")\"}}"
    );
    assert_eq!(customer, due);
    let operator = serde_json::to_string(&record.operator_json()).unwrap();
    let more =
        ",\"channel\":\"channel\",\"provider\":\"provider\",\"cost\":\"0.00000075\",\"upstream_request_id\":\"req_1\"}";
    assert_eq!(operator, due.strip_suffix('}').unwrap().to_owned() + more);
}

#[test]
fn what_is_absent_is_null() {
    let id = CallId(Uuid::nil());
    let record = UsageRecord::new(&principal("a"), id, "m".into(), Protocol::GeminiGenerate, Operation::Chat);
    let json = serde_json::to_value(record.operator_json()).unwrap();
    for field in ["error_code", "finish", "usage_source", "first_content_ms", "client_request_id", "channel"] {
        assert!(json[field].is_null(), "{field}");
    }
    assert_eq!(json["created_at"], 0);
    assert_eq!(json["id"], "call-00000000000000000000000000000000");
}

#[test]
fn csv_has_the_same_columns_and_guards_its_cells() {
    for (operator, due) in [(false, CONTRACT.to_owned()), (true, format!("{CONTRACT} {OPERATORS}"))] {
        let columns = UsageRecord::csv_columns(operator);
        assert_eq!(columns.join(" "), due);
        let mut out = csv::Writer::from_writer(Vec::new());
        out.write_record(&columns).unwrap();
        full().write_csv_row(&mut out, operator).unwrap();
        let bytes = out.into_inner().unwrap();
        let mut reader = csv::Reader::from_reader(&*bytes);
        let row = reader.records().next().unwrap().unwrap();
        let cell = |name: &str| row.get(columns.iter().position(|column| *column == name).unwrap()).unwrap().to_owned();
        assert_eq!(row.len(), columns.len());
        assert_eq!(cell("created_at"), "2026-01-01T00:00:00.000Z");
        assert_eq!(cell("usage"), "{\"input_tokens\":1500}");
        assert_eq!(cell("charge"), "0.0000015");
        assert_eq!(cell("losses"), "seed;dropped, top_k;dropped");
        assert_eq!(cell("client_request_id"), "'=HYPERLINK(\"x\")");
    }
}

#[test]
fn formulas_are_guarded() {
    for (cell, due) in [
        ("=1", "'=1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("a=1", "a=1"),
        ("", ""),
    ] {
        assert_eq!(usage::guarded(Cow::Borrowed(cell)), due);
    }
}

#[test]
fn call_ids_read_what_they_show() {
    let id = call_at(NEW_YEAR_MS, 1);
    assert_eq!((CallId::parse(&id.to_string()), id.created_at_ms()), (Some(id), NEW_YEAR_MS));
    for odd in ["", "call-", "call-1", "018f0000000070008000000000000001", "call-018f0000-0000-7000-8000-000000000001"]
    {
        assert_eq!(CallId::parse(odd), None, "{odd}");
    }
}
