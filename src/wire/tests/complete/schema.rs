//! What each place of a JSON Schema asks of its translation: names, words and values stay, limits may be said in words.

use super::leaves::Leaf;
use super::rules::Rule;

/// Where a schema begins, what is inside it.
pub fn place(path: &str) -> Option<&str> {
    const ROOTS: [&str; 7] = [
        ".parameters.",
        ".parameters_json_schema.",
        ".input_schema.",
        ".json_schema.schema.",
        ".format.schema.",
        ".response_json_schema.",
        ".response_schema.",
    ];
    let in_tool_or_format = path.starts_with("tools[]")
        || path.starts_with("response_format.")
        || path.starts_with("text.format.")
        || path.starts_with("output_config.")
        || path.starts_with("generation_config.");
    let root = ROOTS.iter().filter_map(|root| path.find(root).map(|at| (at, at + root.len()))).min()?;
    in_tool_or_format.then(|| &path[root.1..])
}

/// Walks from schema position to schema position: a property may have the name of a keyword.
pub fn rule(inside: &str, leaf: &Leaf) -> Rule {
    let mut members = inside.split('.').map(|member| member.trim_end_matches("[]"));
    while let Some(keyword) = members.next() {
        match keyword {
            "properties" | "pattern_properties" | "$defs" | "definitions" => {
                let named = members.next();
                // The name of a property whose schema says nothing.
                if members.clone().next().is_none() {
                    return if named.is_some() { Rule::SchemaKey } else { Rule::Structure };
                }
            }
            // Gemini's word for what `enum` says by itself.
            "format" if leaf.text == "enum" => return Rule::Structure,
            "default" | "examples" | "example" => return Rule::SchemaLimit,
            "type" | "$ref" | "$schema" | "$id" | "$comment" | "additional_properties" | "nullable" | "strict" => {
                // `strict` is no keyword of schemas, though some clients put it there.
                return Rule::Structure;
            }
            // What `enum` says already.
            "format" if leaf.text == "enum" => return Rule::Structure,
            "description" | "enum" | "const" => return Rule::Anywhere,
            "required" | "property_ordering" => return Rule::SchemaKey,
            "items" | "any_of" | "one_of" | "all_of" | "not" | "prefix_items" | "contains" => {}
            _ => return Rule::SchemaLimit,
        }
    }
    if leaf.is_text { Rule::SchemaLimit } else { Rule::Structure }
}
