//! Broken catalogs, each with all that is wrong and where.

use super::*;

/// One edit of the small catalog, and all that is then wrong with it.
fn check(path: &str, from: &str, to: &str, expected: &[&str]) {
    let text = match path {
        "catalog/models/openai.yaml" => MODELS,
        "catalog/providers.yaml" => PROVIDERS,
        "catalog/retired.yaml" => RETIRED,
        "catalog/catalog.yaml" => HEAD,
        other => panic!("{other}"),
    };
    assert!(text.contains(from), "{from:?}");
    let found = problems(&with(path, &text.replacen(from, to, 1)));
    let expected: Vec<String> = expected.iter().map(|line| format!("{path}:{line}")).collect();
    assert_eq!(found, expected, "{from:?} → {to:?}");
}

#[test]
fn problems_of_models_are_named_where_they_are() {
    for (from, to, expected) in [
        ("\"2.50\"", "2.5", "9:43: models[gpt-4o].price[0].usd: expected a quoted decimal, got number 2.5"),
        (
            "\"2.50\"",
            "\"2,50\"",
            "9:43: models[gpt-4o].price[0].usd: \"2,50\" is not a decimal number such as 2.50, without sign or exponent",
        ),
        (
            "\"2.50\"",
            "\"0.0000000001\"",
            "9:43: models[gpt-4o].price[0].usd: \"0.0000000001\" has more than nine digits after the point: the smallest amount is 0.000000001",
        ),
        ("per: 1M, usd: \"2.50\"", "usd: \"2.50\"", "9:7: models[gpt-4o].price[0].per: is missing"),
        (
            "per: 1M",
            "per: 1G",
            "9:34: models[gpt-4o].price[0].per: expected a number of units such as 1M, 1K or 1, got text \"1G\"",
        ),
        (
            "per: 1M",
            "per: 0",
            "9:34: models[gpt-4o].price[0].per: expected a number of units such as 1M, 1K or 1, got number 0",
        ),
        (
            "{meter: input_tokens",
            "{meter: input_token",
            "9:15: models[gpt-4o].price[0].meter: \"input_token\" is not a meter; did you mean \"input_tokens\"?",
        ),
        ("service_tier: priority", "size: big", "11:60: models[gpt-4o].price[2].when.size: is not a known field"),
        (
            "service_tier: priority",
            "service_tier: default",
            "11:74: models[gpt-4o].price[2].when.service_tier: \"default\" is the price without conditions",
        ),
        (
            ", when: {service_tier: priority}",
            "",
            "11:7: models[gpt-4o].price[2]: is as specific as row 1: a call can meet the conditions of both",
        ),
        ("name: GPT-4o", "nmae: GPT-4o", "3:3: models[gpt-4o].nmae: is not a known field; did you mean \"name\"?"),
        ("  vendor: openai\n", "", "1:3: models[gpt-4o].vendor: is missing"),
        ("openai/gpt-4o", "gpt-4o", "4:13: models[gpt-4o].aliases[0]: \"gpt-4o\" already names model gpt-4o"),
        (
            "openai/gpt-4o",
            "gpt-3",
            "4:13: models[gpt-4o].aliases[0]: \"gpt-3\" is retired, and a retired id is never used again",
        ),
        ("openai/gpt-4o", "a/b/c", "4:13: models[gpt-4o].aliases[0]: \"a/b/c\" is not an id with at most one `/`"),
        (
            "chat@1",
            "chat@2",
            "5:29: models[gpt-4o].endpoints.chat.input: there is no inputs/chat@2.json; did you mean \"chat@1\"?",
        ),
        (
            "128000",
            "-1",
            "6:21: models[gpt-4o].limits.context: expected a whole number from 1 to 100000000, got number -1",
        ),
        ("128000", "128", "6:38: models[gpt-4o].limits.max_output: 16384 is more than the context of 128"),
        (
            "2024-05-13",
            "2024-02-30",
            "7:25: models[gpt-4o].lifecycle.released: expected a day such as \"2026-11-24\", got \"2024-02-30\"",
        ),
        (
            "provider: openai",
            "provider: opnai",
            "14:17: models[gpt-4o].channels[openai].provider: \"opnai\" is not a provider; did you mean \"openai\"?",
        ),
        (
            "protocol: openai.chat",
            "protocol: openai.chats",
            "16:17: models[gpt-4o].channels[openai].protocol: \"openai.chats\" is not a protocol; did you mean \"openai.chat\"?",
        ),
        (
            "weight: 5",
            "weight: 0",
            "19:93: models[gpt-4o].channels[local].weight: expected a whole number from 1 to 1000000, got number 0",
        ),
        ("id: local, provider", "id: openai, provider", "19:7: models[gpt-4o].channels[openai]: is defined twice"),
        (
            "id: local, provider",
            "id: demo, provider",
            "19:12: models[gpt-4o].channels[1].id: \"demo\" is reserved for the built-in upstream",
        ),
        (
            "usd: \"2.00\"",
            "usd: no",
            "18:47: models[gpt-4o].channels[openai].cost[0].usd: \"no\" is not a decimal number such as 2.50, without sign or exponent",
        ),
        (
            "\"2026-11-24\"",
            "today",
            "21:31: models[gpt-4o].sources[0].seen: expected a day such as \"2026-11-24\", got \"today\"",
        ),
    ] {
        check("catalog/models/openai.yaml", from, to, &[expected]);
    }
    for id in ["GPT", "x", "-a", "a_b"] {
        let mut files = with("catalog/models/openai.yaml", &MODELS.replacen("gpt-4o\n", &format!("{id}\n"), 1));
        files.retain(|file| !file.path.ends_with("retired.yaml"));
        let rule = "is not an id: lower-case letters, digits, `.` and `-`, 2 to 63 of them";
        assert_eq!(problems(&files), [format!("catalog/models/openai.yaml:1:7: models[{id}]: {rule}")]);
    }
}

#[test]
fn a_price_is_never_missing() {
    let model = |price: &str| {
        let start = MODELS.find("  price:").unwrap();
        let end = MODELS.find("  channels:").unwrap();
        format!("{}  price: [{price}]\n{}", &MODELS[..start], &MODELS[end..])
    };
    let input = "{meter: input_tokens, per: 1M, usd: '1'}";
    let output = "{meter: output_tokens, per: 1M, usd: '1'}";
    let tier = "{meter: output_tokens, per: 1M, usd: '1', when: {service_tier: flex}}";
    let requests = "{meter: requests, per: 1, usd: '0.01'}";
    for (price, expected) in [
        (
            String::new(),
            Some(
                "8:10: models[gpt-4o].price: has no price: an enabled model needs rows for input_tokens and output_tokens, or for requests",
            ),
        ),
        (input.to_owned(), Some("8:10: models[gpt-4o].price: has no row for output_tokens")),
        (output.to_owned(), Some("8:10: models[gpt-4o].price: has no row for input_tokens")),
        (
            format!("{input}, {tier}"),
            Some("8:53: models[gpt-4o].price[1]: output_tokens has no row without conditions"),
        ),
        (requests.to_owned(), None),
        (format!("{input}, {output}"), None),
    ] {
        let found = problems(&with("catalog/models/openai.yaml", &model(&price)));
        let expected: Vec<String> = expected.iter().map(|line| format!("catalog/models/openai.yaml:{line}")).collect();
        // A card that has no whole row set is told once.
        assert_eq!(found, expected, "{price}");
    }
}

#[test]
fn problems_of_providers_are_named_where_they_are() {
    const URL: &str = "https://api.openai.com/v1";
    for (from, to, expected) in [
        (
            URL,
            "https:///v1",
            "2:13: providers[openai].base_url: the host is empty: without it a certificate cannot be checked, got \"https:///v1\"",
        ),
        (
            URL,
            "https://:443/v1",
            "2:13: providers[openai].base_url: the host is empty: without it a certificate cannot be checked, got \"https://:443/v1\"",
        ),
        (
            URL,
            "https://{resource}.a.com",
            "2:13: providers[openai].base_url: the host is not a name or an address, got \"https://{resource}.a.com\"",
        ),
        (
            URL,
            "https://u@a.com/v1",
            "2:13: providers[openai].base_url: the host is not a name or an address, got \"https://u@a.com/v1\"",
        ),
        (
            URL,
            "https://a.com/v1?x=1",
            "2:13: providers[openai].base_url: the path may hold letters, digits and `/-._~` only, without placeholders, query or fragment, got \"https://a.com/v1?x=1\"",
        ),
        (
            URL,
            "https://a.com:70000",
            "2:13: providers[openai].base_url: the port is not a number from 1 to 65535, got \"https://a.com:70000\"",
        ),
        (
            URL,
            "http://a.com/v1",
            "2:13: providers[openai].base_url: plain http:// sends keys in the clear: use https://, or set allow_plain: true, got \"http://a.com/v1\"",
        ),
        (
            URL,
            "ftp://a.com",
            "2:13: providers[openai].base_url: expected a URL that begins with https://, got \"ftp://a.com\"",
        ),
        (
            URL,
            "demo:x",
            "2:13: providers[openai].base_url: the built-in upstream is demo:h1, demo:h2 or demo:refused, got \"demo:x\"",
        ),
        (
            "env:OPENAI_API_KEY",
            "sk-verysecret",
            "3:8: providers[openai].key: expected a reference, env:NAME or file:path; a key itself is never written here",
        ),
        ("  key: env:OPENAI_API_KEY\n", "", "1:3: providers[openai].key: is missing: expected env:NAME or file:path"),
        (
            "max_completion_tokens",
            "max_token",
            "4:23: providers[openai].output_limit_field: expected one of max_tokens, max_completion_tokens, got \"max_token\"; did you mean \"max_tokens\"?",
        ),
        (
            "auth: none}",
            "auth: {header: Host}, key: 'env:A'}",
            "5:68: providers[local].auth.header: \"Host\" is not a header name in lower case",
        ),
        (
            "auth: none}",
            "auth: {header: x, query: y}, key: 'env:A'}",
            "5:59: providers[local].auth: expected either `header` or `query`",
        ),
        (
            "auth: none}",
            "auth: {query: 'a b'}, key: 'env:A'}",
            "5:67: providers[local].auth.query: \"a b\" is not a name of letters, digits, `-` and `_`",
        ),
        (
            "auth: none}",
            "auth: token, key: 'env:A'}",
            "5:59: providers[local].auth: expected none, bearer, {header: name} or {query: name}, got text \"token\"",
        ),
        (
            "'demo:h1', auth: none}",
            "'demo:h1', auth: none, paths: azure}",
            "6:3: providers[house].api_version: is missing: `paths: azure` puts it into every path",
        ),
        (
            "auth: none}",
            "auth: none, api_version: v1}",
            "5:78: providers[local].api_version: means something only beside `paths: azure`",
        ),
        (
            "auth: none}",
            "auth: none, anthropic_version: 'a b'}",
            "5:84: providers[local].anthropic_version: expected a version such as \"2024-10-21\", got \"a b\"",
        ),
        (
            "auth: none}",
            "auth: none, account: 'A b'}",
            "5:74: providers[local].account: expected lower-case letters, digits, `.` and `-`, at most 63, got \"A b\"",
        ),
        (
            "auth: none}",
            "auth: none, quirks: [short_call_id]}",
            "5:74: providers[local].quirks[0]: \"short_call_id\" is not a quirk; did you mean \"short_call_ids\"?",
        ),
        ("auth: none}", "auth: none, key: 'env:A'}", "5:70: providers[local].key: is given, but `auth` is none"),
        ("auth: none}", "auth: none, ca: ca.pem}", "5:69: providers[local].ca: expected file:path"),
        (
            "auth: none}",
            "auth: none, ca: 'file:ca.pem'}",
            "5:69: providers[local].ca: file:ca.pem holds no certificate in PEM form",
        ),
    ] {
        check("catalog/providers.yaml", from, to, &[expected]);
    }
    let odd = |_: &str| Some(SecretString::from("a\nb"));
    let refused = compile(&small(), &Environment { secret: &odd, demo: None }).unwrap_err();
    let expected =
        "catalog/providers.yaml:3:8: providers[openai].key: the value of env:OPENAI_API_KEY cannot stand in a header\n";
    assert_eq!(lines(&refused), expected);
    let plain = PROVIDERS.replace("id: openai\n", "id: openai\n  allow_plain: true\n").replace("https://", "http://");
    assert_eq!(problems(&with("catalog/providers.yaml", &plain)), Vec::<String>::new());
}

#[test]
fn problems_of_other_files() {
    check(
        "catalog/retired.yaml",
        "gpt-4o",
        "gpt-4",
        &["1:51: retired[gpt-3].replacement: \"gpt-4\" is not a model of this catalog; did you mean \"gpt-4o\"?"],
    );
    check(
        "catalog/catalog.yaml",
        "schema: 1",
        "schema: 2",
        &["1:9: schema: expected a whole number from 1 to 1, got number 2"],
    );
    check("catalog/catalog.yaml", "USD", "EUR", &["3:11: currency: expected one of USD, got \"EUR\""]);
    for (path, text, expected) in [
        ("catalog/notes.yaml", "a: 1\n", "catalog/notes.yaml:1:1: a catalog has no file of this name"),
        (
            "catalog/inputs/image@1.json",
            "{\n1}",
            "catalog/inputs/image@1.json:2:1: is not JSON: key must be a string at line 2 column 1",
        ),
        ("catalog/models/a.yaml", "a: [1, 2\nb: 3\n", "catalog/models/a.yaml:2:2: "),
        (
            "catalog/models/a.yaml",
            "- id: gpt-4o\n",
            "catalog/models/a.yaml:1:7: models[gpt-4o]: is defined twice, first in line 1",
        ),
        (
            "catalog/models/a.yaml",
            "- 5\n",
            "catalog/models/a.yaml:1:3: models[0]: expected a map with an id, got number 5",
        ),
        (
            "conf/catalog.d/a.yaml",
            "model: []\n",
            "conf/catalog.d/a.yaml:1:1: model: is not a known field; did you mean \"models\"?",
        ),
        (
            "conf/catalog.d/a.yaml",
            "models: {gpt-4: null}\n",
            "conf/catalog.d/a.yaml:1:10: models[gpt-4]: cannot be removed: it is not there; did you mean \"gpt-4o\"?",
        ),
        (
            "conf/catalog.d/a.yaml",
            "markup: 1.2\n",
            "conf/catalog.d/a.yaml:1:9: markup: expected a quoted decimal above 0 and up to 100, with at most six digits after the point, got number 1.2",
        ),
    ] {
        let found = problems(&with(path, text));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:#?}\n{expected}");
    }
}

#[test]
fn a_tombstoned_id_is_never_used_again() {
    let retired = "- {id: gpt-4o, retired: \"2026-01-01\"}\n";
    let expected =
        ["catalog/models/openai.yaml:1:7: models[gpt-4o]: \"gpt-4o\" is retired, and a retired id is never used again"];
    assert_eq!(problems(&with("catalog/retired.yaml", retired)), expected);
}

#[test]
fn all_problems_are_told_at_once_up_to_fifty() {
    let broken = MODELS.replace("\"2.50\"", "2.5").replace("128000", "none").replace("weight: 5", "wieght: 5");
    let found = problems(&with("catalog/models/openai.yaml", &broken));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found.is_sorted_by_key(|line| line.split(':').nth(1).unwrap().parse::<u32>().unwrap()));
    let many =
        format!("models: {{gpt-4o: {{{}}}}}\n", (0..200).map(|n| format!("x{n}: 1")).collect::<Vec<_>>().join(", "));
    assert_eq!(problems(&with("conf/catalog.d/a.yaml", &many)).len(), PROBLEMS_MAX);
}
