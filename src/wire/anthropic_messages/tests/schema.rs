//! Schemas as Anthropic takes them.

use super::super::schema as cleaner;
use super::*;
use crate::wire::ir::SchemaDialect;

#[track_caller]
fn check_bound(schema: &str, expected: &str, lossy: bool) {
    let schema = parse(schema);
    let (bound, lost) = cleaner::bound(&schema, SchemaDialect::JsonSchema);
    assert_eq!((dom(&bound.to_json()), lost), (dom(expected), lossy));
}

#[test]
fn a_bound_schema_keeps_what_it_can() {
    let kept = r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"},"b":{"enum":[1,{"minimum":2}]},"c":{"const":{"pattern":"x"}}},
        "required":["a"],"$defs":{"A":{"type":"string","format":"date","description":"d"}},"additionalProperties":false}"##;
    check_bound(kept, kept, false);
    check_bound(r#"{"type":"object"}"#, r#"{"type":"object","additionalProperties":false}"#, false);
    let nested = r#"{"anyOf":[{"type":"object","properties":{"x":{"type":"array","items":{"properties":{}}}}},{"type":"null"}]}"#;
    let closed = r#"{"anyOf":[{"type":"object","properties":{"x":{"type":"array","items":{"properties":{},"additionalProperties":false}}},"additionalProperties":false},{"type":"null"}]}"#;
    check_bound(nested, closed, false);
    check_bound(r#"{"oneOf":[{"type":"string"}]}"#, r#"{"anyOf":[{"type":"string"}]}"#, false);
}

#[test]
fn limits_are_told_in_words() {
    check_bound(
        r#"{"type":"integer","minimum":1,"maximum":5}"#,
        r#"{"type":"integer","description":"minimum: 1, maximum: 5"}"#,
        true,
    );
    check_bound(
        r#"{"type":"string","description":"a name","pattern":"^a$","format":"byte"}"#,
        r#"{"type":"string","description":"a name (pattern: \"^a$\", format: \"byte\")"}"#,
        true,
    );
    check_bound(r#"{"type":"array","minItems":1}"#, r#"{"type":"array","minItems":1}"#, false);
    check_bound(r#"{"type":"array","minItems":2}"#, r#"{"type":"array","description":"minItems: 2"}"#, true);
    // A property may bear any name.
    check_bound(
        r#"{"type":"object","properties":{"minimum":{"type":"string"},"not":{}},"additionalProperties":true,"not":{}}"#,
        r#"{"type":"object","properties":{"minimum":{"type":"string"},"not":{}},"additionalProperties":false}"#,
        true,
    );
}

#[test]
fn geminis_own_schemas_become_json_schemas() {
    let own = r#"{"type":"OBJECT","properties":{"TYPE":{"type":"STRING","nullable":true,"maxLength":"5"},"l":{"type":"ARRAY","items":{"type":"NUMBER"}}},
        "propertyOrdering":["l"]}"#;
    let schema = parse(own);
    let (input, lossy) = cleaner::input(Some(&schema), SchemaDialect::OpenApi);
    let expected = r#"{"type":"object","properties":{"TYPE":{"type":["string","null"],"maxLength":5},"l":{"type":"array","items":{"type":"number"}}}}"#;
    assert_eq!((dom(&input.to_json()), lossy), (dom(expected), false));
    let schema = parse(r#"{"type":"OBJECT","properties":{"e":{"type":"STRING","enum":["a"],"nullable":true}}}"#);
    let expected = r#"{"type":"object","properties":{"e":{"type":["string","null"],"enum":["a",null]}},"additionalProperties":false}"#;
    let (bound, lossy) = cleaner::bound(&schema, SchemaDialect::OpenApi);
    assert_eq!((dom(&bound.to_json()), lossy), (dom(expected), false));
}

#[track_caller]
fn check_input(schema: &str, expected: &str, lossy: bool) {
    let schema = parse(schema);
    let (input, lost) = cleaner::input(Some(&schema), SchemaDialect::JsonSchema);
    assert_eq!((input.to_json(), lost), (expected.to_owned(), lossy));
}

#[test]
fn a_tools_input_is_an_object() {
    assert_eq!(cleaner::input(None, SchemaDialect::JsonSchema).0.to_json(), r#"{"type":"object","properties":{}}"#);
    check_input("{}", r#"{"type":"object","properties":{}}"#, false);
    let plain = r#"{"properties":{"z":{"maximum":1.0},"a":{}},"type":"object","$schema":"s"}"#;
    check_input(plain, plain, false);
    check_input(
        r#"{"anyOf":[{"type":"object","properties":{"a":{}},"required":["a"]},{"properties":{"b":{}}}]}"#,
        r#"{"properties":{"a":{},"b":{}},"type":"object"}"#,
        true,
    );
    check_input(
        r#"{"type":"object","properties":{"c":{}},"required":["c"],"allOf":[{"properties":{"a":{}},"required":["a"]}]}"#,
        r#"{"type":"object","properties":{"c":{},"a":{}},"required":["c","a"]}"#,
        true,
    );
    check_input(
        r##"{"$ref":"#/definitions/A","definitions":{"A":{"type":"object","properties":{"a":{}}}}}"##,
        r##"{"definitions":{"A":{"type":"object","properties":{"a":{}}}},"properties":{"a":{}},"type":"object"}"##,
        true,
    );
}
