use serde_json::{Value as Json, json};

use super::*;
use crate::wire::json::LoneSurrogates;

fn value(json: &Json) -> Value<'static> {
    Value::parse(&json.to_string(), 256, LoneSurrogates::Refused).unwrap().into_owned()
}

fn json_of(value: &Value<'_>) -> Json {
    serde_json::from_str(&value.to_json()).unwrap()
}

#[track_caller]
fn check_gemini(schema: Json, expected: Json, lossy: bool) {
    let (clean, found) = for_gemini(&value(&schema));
    assert_eq!(json_of(&clean), expected);
    assert_eq!(found, lossy);
}

#[test]
fn gemini_types_are_in_capitals_and_null_is_a_flag() {
    check_gemini(json!({ "type": "string" }), json!({ "type": "STRING" }), false);
    check_gemini(json!({ "type": ["integer", "null"] }), json!({ "type": "INTEGER", "nullable": true }), false);
    let either = json!({ "anyOf": [{ "type": "STRING" }, { "type": "ARRAY", "items": { "type": "NUMBER" } }], "nullable": true });
    check_gemini(json!({ "type": ["string", "array", "null"], "items": { "type": "number" } }), either, false);
    let optional = json!({ "anyOf": [{ "type": "string", "maxLength": 3 }, { "type": "null" }], "description": "d" });
    check_gemini(optional, json!({ "nullable": true, "description": "d", "type": "STRING", "maxLength": 3 }), false);
    let one_of = json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] });
    check_gemini(one_of, json!({ "anyOf": [{ "type": "STRING" }, { "type": "NUMBER" }] }), false);
}

#[test]
fn gemini_gets_only_what_it_knows() {
    check_gemini(
        json!({
            "$schema": "x", "$id": "y", "$comment": "z", "title": "T", "type": "object", "additionalProperties": false,
            "properties": {
                "$ref": { "type": "string", "format": "uri" },
                "additionalProperties": { "type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10, "format": "int32" },
                "kind": { "const": "a" },
                "level": { "type": "integer", "enum": [1, 2] },
                "list": { "type": "array", "uniqueItems": true },
                "pair": { "type": "array", "prefixItems": [{ "type": "string" }, { "type": "number" }] },
                "when": { "type": "string", "format": "date-time", "default": { "$schema": 1 } }
            },
            "required": ["kind", "gone", "kind"]
        }),
        json!({
            "title": "T", "type": "OBJECT",
            "properties": {
                "$ref": { "type": "STRING" },
                "additionalProperties": { "type": "INTEGER", "minimum": 1, "maximum": 9, "format": "int32" },
                "kind": { "type": "STRING", "enum": ["a"] },
                "level": { "type": "INTEGER", "format": "enum", "enum": ["1", "2"] },
                "list": { "type": "ARRAY", "items": { "type": "STRING" } },
                "pair": { "type": "ARRAY", "items": { "anyOf": [{ "type": "STRING" }, { "type": "NUMBER" }] } },
                "when": { "type": "STRING", "format": "date-time", "default": { "$schema": 1 } }
            },
            "required": ["kind"]
        }),
        true,
    );
}

#[test]
fn references_are_followed_and_circles_cut() {
    let node = json!({
        "$defs": { "Node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/Node" }, "id": { "$ref": "#/definitions/a~1b" } } } },
        "definitions": { "a/b": { "type": "string" } },
        "$ref": "#/$defs/Node",
        "description": "d"
    });
    let expected = json!({ "type": "OBJECT", "description": "d",
        "properties": { "next": { "type": "OBJECT" }, "id": { "type": "STRING" } } });
    check_gemini(node, expected, true);
    check_gemini(json!({ "$ref": "http://elsewhere" }), json!({ "type": "OBJECT" }), true);
    let merged = json!({ "allOf": [
        { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
        { "properties": { "b": { "type": "number" } }, "required": ["b"] }
    ] });
    let expected = json!({ "type": "OBJECT", "properties": { "a": { "type": "STRING" }, "b": { "type": "NUMBER" } }, "required": ["a", "b"] });
    check_gemini(merged, expected, false);
}

#[test]
fn references_that_multiply_are_bounded() {
    let mut defs = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
        defs.insert(format!("d{level}"), json!({ "type": "object", "properties": { "a": next, "b": next } }));
    }
    let (clean, lossy) = for_gemini(&value(&json!({ "$defs": defs, "$ref": "#/$defs/d0" })));
    assert!(lossy && clean.to_json().len() < 2_000_000);
    let mut deep = json!({ "type": "string" });
    for _ in 0..100 {
        deep = json!({ "type": "array", "items": deep });
    }
    assert!(for_gemini(&value(&deep)).1);
}

#[test]
fn what_is_clean_stays() {
    let clean = json!({ "type": "OBJECT", "properties": { "a": { "type": "ARRAY", "items": { "anyOf": [{ "type": "STRING" }, { "type": "NUMBER" }] } } }, "required": ["a"], "propertyOrdering": ["a"] });
    check_gemini(clean.clone(), clean, false);
    for odd in [
        json!(true),
        json!({}),
        json!([]),
        json!({ "type": 3 }),
        json!({ "type": [] }),
        json!({ "properties": 1, "required": 2, "enum": 3, "anyOf": 4, "items": [] }),
    ] {
        let (clean, lossy) = for_gemini(&value(&odd));
        assert!(lossy && (clean.get("type").is_some() || clean.get("anyOf").is_some()), "{odd}");
    }
}

#[test]
fn geminis_schema_is_json_schema_again() {
    let schema = json!({
        "type": "OBJECT", "nullable": true,
        "properties": {
            "type": { "type": "STRING", "format": "enum", "enum": ["A", "B"], "nullable": true, "example": "A" },
            "list": { "type": "ARRAY", "min_items": "1", "maxItems": "3", "items": { "any_of": [{ "type": "INTEGER" }], "nullable": true } },
            "node": { "ref": "#/defs/N" }
        },
        "defs": { "N": { "type": "TYPE_UNSPECIFIED" } },
        "propertyOrdering": ["type"], "required": ["type"]
    });
    let expected = json!({
        "type": ["object", "null"],
        "properties": {
            "type": { "type": ["string", "null"], "enum": ["A", "B", null], "examples": ["A"] },
            "list": { "type": "array", "minItems": 1, "maxItems": 3, "items": { "anyOf": [{ "type": "integer" }, { "type": "null" }] } },
            "node": { "$ref": "#/$defs/N" }
        },
        "$defs": { "N": {} },
        "required": ["type"]
    });
    assert_eq!(json_of(&from_openapi(&value(&schema))), expected);
}

#[test]
fn strict_means_closed_and_all_required() {
    let strict = |schema: Json| is_openai_strict(&value(&schema));
    let object = |properties: Json, required: Json| json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    assert!(strict(object(json!({ "a": { "type": ["string", "null"] } }), json!(["a"]))));
    assert!(strict(object(json!({}), json!([]))));
    assert!(!strict(object(json!({ "a": { "type": "string" } }), json!([]))));
    assert!(!strict(json!({ "type": "object", "properties": {} })));
    assert!(!strict(object(json!({ "a": { "type": "object" } }), json!(["a"]))));
    assert!(!strict(object(json!({ "a": {} }), json!(["a"]))));
    assert!(!strict(object(json!({ "a": { "oneOf": [{ "type": "string" }] } }), json!(["a"]))));
    assert!(!strict(object(json!({ "a": { "type": "array", "items": { "type": "object" } } }), json!(["a"]))));
    assert!(!strict(json!({ "type": "string" })));
    assert!(!strict(json!(true)));
}

#[test]
fn an_object_that_takes_nothing() {
    for nothing in [
        json!(null),
        json!({}),
        json!({ "type": "object" }),
        json!({ "type": "object", "properties": {}, "required": [], "additionalProperties": false, "$schema": "s" }),
    ] {
        assert!(takes_nothing(&value(&nothing)), "{nothing}");
    }
    for something in [
        json!({ "type": "object", "additionalProperties": true }),
        json!({ "type": "object", "properties": { "a": {} } }),
        json!({ "anyOf": [] }),
        json!(true),
    ] {
        assert!(!takes_nothing(&value(&something)), "{something}");
    }
}
