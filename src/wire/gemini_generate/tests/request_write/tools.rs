//! Tools and schemas.

use super::*;

#[test]
fn tools_are_one_entry_with_names_that_fit() {
    let long = "a".repeat(70);
    let mut request = chat(vec![user("a"), turn(Role::Assistant, vec![call("c", "1 söme/name", "{}")])]);
    request.tools = vec![
        function("1 söme/name", Some(json!({ "type": "object", "properties": {}, "additionalProperties": false }))),
        function(
            "f.g:h-i_j",
            Some(json!({ "type": "object", "properties": { "a": { "const": 1 } }, "required": ["a"] })),
        ),
        tool(ToolKind::Custom { name: Str::plain(long.clone()), description: Some(Str::plain("d")), format: None }),
        function("any", Some(json!({ "type": "object" }))),
        function("free", Some(json!({ "type": "object", "additionalProperties": true }))),
    ];
    request.tool_choice = Some(ToolChoice::One { name: Str::plain("1 söme/name"), custom: false });
    let (out, losses, undo) = try_written(&request, &target()).unwrap();
    let declarations = out["tools"][0]["functionDeclarations"].as_array().unwrap();
    let odd = declarations[0]["name"].as_str().unwrap();
    assert!(odd.starts_with("_1smename_") && odd.len() == 20, "{odd}");
    assert_eq!(declarations[0].as_object().unwrap().len(), 1);
    assert_eq!(declarations[1]["parametersJsonSchema"]["properties"]["a"]["const"], 1);
    let cut = declarations[2]["name"].as_str().unwrap();
    assert_eq!(cut.len(), 64);
    assert_eq!(declarations[2]["parameters"]["properties"], json!({ "input": { "type": "STRING" } }));
    assert_eq!(declarations[3].as_object().unwrap().len(), 1);
    assert_eq!(declarations[4]["parametersJsonSchema"], json!({ "type": "object", "additionalProperties": true }));
    assert_eq!(undo.tool_names, [(odd.to_owned(), "1 söme/name".to_owned()), (cut.to_owned(), long)]);
    assert_eq!(undo.wrapped_tools, [cut]);
    assert_eq!(out["contents"][1]["parts"][0]["functionCall"]["name"], odd);
    assert_eq!(out["toolConfig"]["functionCallingConfig"], json!({ "mode": "ANY", "allowedFunctionNames": [odd] }));
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn vertex_gets_its_own_kind_of_schema() {
    let mut request = chat(vec![user("a")]);
    let schema =
        json!({ "type": "object", "properties": { "a": { "type": ["string", "null"], "minLength": 1 } }, "not": {} });
    request.tools = vec![function("f", Some(schema.clone()))];
    request.format = Some(Format::Schema {
        name: Some(Str::plain("n")),
        description: Some(Str::plain("d")),
        schema: value(&schema),
        dialect: SchemaDialect::JsonSchema,
        strict: Some(true),
    });
    let clean =
        json!({ "type": "OBJECT", "properties": { "a": { "type": "STRING", "nullable": true, "minLength": 1 } } });
    let vertex = with(&[Quirk::Vertex]);
    check(&request, &vertex, "/tools/0/functionDeclarations/0/parameters", clean.clone(), &["schema approximated"]);
    let mut described = clean;
    described["description"] = json!("d");
    check(&request, &vertex, "/generationConfig/responseSchema", described, &["schema approximated"]);
    let mut plain = schema;
    plain["description"] = json!("d");
    check(&request, &target(), "/generationConfig/responseJsonSchema", plain, &[]);
    let refusal = try_written(&request, &with(&[Quirk::NoSchemaWithTools])).unwrap_err();
    assert_eq!(refusal.param, "response_format");
}

#[test]
fn choices_of_tools() {
    let strict = |strict| {
        let (parameters, dialect) =
            (Some(value(&json!({ "type": "object", "properties": { "a": {} } }))), SchemaDialect::JsonSchema);
        tool(ToolKind::Function { name: Str::plain("s"), description: None, parameters, dialect, strict })
    };
    let config = |choice, tools: Vec<Tool<'static>>, quirks: &[Quirk]| {
        let request = Request { tools, tool_choice: choice, ..chat(vec![user("a")]) };
        let (out, losses, _) = try_written(&request, &with(quirks)).unwrap();
        let names = out["tools"][0]["functionDeclarations"].as_array().map(Vec::len).unwrap_or(0);
        (out["toolConfig"]["functionCallingConfig"].clone(), names, losses)
    };
    let two = || vec![function("f", None), function("g", None)];
    let names = |list: &[&'static str]| list.iter().map(|name| Str::plain(*name)).collect::<Vec<_>>();
    let mode = |mode: &str| json!({ "mode": mode });
    assert_eq!(config(None, two(), &[]), (Json::Null, 2, vec![]));
    assert_eq!(config(Some(ToolChoice::Auto), two(), &[]).0, mode("AUTO"));
    assert_eq!(config(Some(ToolChoice::None), two(), &[]).0, mode("NONE"));
    assert_eq!(config(Some(ToolChoice::Required), two(), &[]).0, mode("ANY"));
    let some = Some(ToolChoice::Allowed { required: true, names: names(&["g"]) });
    assert_eq!(config(some, two(), &[]).0, json!({ "mode": "ANY", "allowedFunctionNames": ["g"] }));
    let may = Some(ToolChoice::Allowed { required: false, names: names(&["g"]) });
    assert_eq!(config(may, two(), &[]), (mode("AUTO"), 1, vec![]));
    assert_eq!(config(None, vec![strict(Some(true))], &[]).0, mode("VALIDATED"));
    assert_eq!(config(Some(ToolChoice::Required), vec![strict(Some(true))], &[]).0, mode("ANY"));
    let old = config(None, vec![strict(Some(true))], &[Quirk::NoSchemaWithTools]);
    assert_eq!(old, (Json::Null, 1, vec!["strict dropped".to_owned()]));
    assert_eq!(config(Some(ToolChoice::Auto), Vec::new(), &[]), (Json::Null, 0, vec![]));
    assert_eq!(config(Some(ToolChoice::Required), Vec::new(), &[]).2, ["tool_choice dropped"]);
}

fn server(kind: ServerTool<'static>) -> Tool<'static> {
    tool(ToolKind::Server { protocol: Protocol::OpenAiResponses, kind, raw: Value::object() })
}

#[test]
fn tools_that_google_runs() {
    let search = || {
        let blocked_domains = vec![Str::plain("a.b")];
        server(ServerTool::WebSearch(WebSearch { max_uses: Some(1), blocked_domains, ..WebSearch::default() }))
    };
    let request = |tools| Request { tools, ..chat(vec![user("a")]) };
    let all = request(vec![search(), server(ServerTool::WebFetch), server(ServerTool::CodeExecution)]);
    let expected = json!([{ "googleSearch": {} }, { "urlContext": {} }, { "codeExecution": {} }]);
    check(&all, &target(), "/tools", expected, &["max_uses dropped", "blocked_domains dropped"]);
    let vertex = json!({ "googleSearch": { "excludeDomains": ["a.b"] } });
    check(&all, &with(&[Quirk::Vertex]), "/tools/0", vertex, &["max_uses dropped"]);
    let refusal = try_written(&request(vec![server(ServerTool::Other("file_search".into()))]), &target()).unwrap_err();
    assert_eq!(refusal.param, "tools");
    let mixed = request(vec![function("f", None), server(ServerTool::WebFetch)]);
    check(
        &mixed,
        &with(&[Quirk::SignedCalls]),
        "/toolConfig",
        json!({ "includeServerSideToolInvocations": true }),
        &[],
    );
    check_absent(&mixed, &with(&[Quirk::NoSchemaWithTools]), "/tools/1", &["tools dropped"]);
    let hosted = ToolChoice::Hosted { protocol: Protocol::OpenAiResponses, raw: Value::object() };
    let forced = Request { tool_choice: Some(hosted), ..mixed };
    check_absent(&forced, &target(), "/toolConfig", &["tool_choice approximated"]);
}
