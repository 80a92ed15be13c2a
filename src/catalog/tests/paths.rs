//! Where each operation is asked for, over providers of every form.

use super::*;

/// A provider of the small catalog's `local` with these fields.
fn provider(fields: &str) -> Arc<Provider> {
    let providers = PROVIDERS.replace("base_url: 'http://127.0.0.1:8000/v1', auth: none", fields);
    assert!(providers.contains(fields));
    let models = MODELS.replace("    - {id: msgs, provider: local, upstream: g, protocol: anthropic.messages}\n", "");
    let mut files = with("catalog/providers.yaml", &providers);
    files.retain(|file| !file.path.ends_with("openai.yaml"));
    files.push(file("catalog/models/openai.yaml", &models));
    model(&compiled(&files), "gpt-4o").channels[1].provider.clone()
}

const ALL: [Operation; 6] = Operation::ALL;

/// The paths of every operation of a protocol, in the order of `Operation::ALL`.
fn check(fields: &str, protocol: Protocol, model: &str, expected: [&str; 6]) {
    let provider = provider(fields);
    for (operation, expected) in ALL.into_iter().zip(expected) {
        let path = provider.path(protocol, operation, model, false);
        assert_eq!(path.as_deref().unwrap_or("-"), expected, "{} {}", protocol.as_str(), operation.as_str());
    }
}

#[test]
fn every_protocol_has_its_own_paths() {
    let fields = "base_url: 'https://a.example/v1', auth: none";
    let chat = ["/v1/chat/completions", "-", "/v1/embeddings", "/v1/rerank", "/v1/moderations", "/v1/completions"];
    check(fields, Protocol::OpenAiChat, "a/b", chat);
    let responses = ["/v1/responses", "/v1/responses/input_tokens", "/v1/embeddings", "-", "/v1/moderations", "-"];
    check(fields, Protocol::OpenAiResponses, "m", responses);
    check(fields, Protocol::AnthropicMessages, "m", ["/v1/messages", "/v1/messages/count_tokens", "-", "-", "-", "-"]);
    check(
        "base_url: 'https://a.example/v1beta/', auth: none",
        Protocol::GeminiGenerate,
        "gemini-4",
        [
            "/v1beta/models/gemini-4:generateContent",
            "/v1beta/models/gemini-4:countTokens",
            "/v1beta/models/gemini-4:batchEmbedContents",
            "-",
            "-",
            "-",
        ],
    );
    check(
        "base_url: 'https://a.example', auth: none",
        Protocol::OpenAiChat,
        "m",
        ["/chat/completions", "-", "/embeddings", "/rerank", "/moderations", "/completions"],
    );
}

#[test]
fn a_gemini_name_is_escaped_and_may_be_a_whole_resource() {
    let provider = provider("base_url: 'https://a.example/v1beta', auth: none");
    for (model, expected) in [
        ("gemini-4", "/v1beta/models/gemini-4:streamGenerateContent?alt=sse"),
        ("tunedModels/mine", "/v1beta/tunedModels/mine:streamGenerateContent?alt=sse"),
        ("a?b#c d%é", "/v1beta/models/a%3Fb%23c%20d%25%C3%A9:streamGenerateContent?alt=sse"),
    ] {
        let path = provider.path(Protocol::GeminiGenerate, Operation::Chat, model, true);
        assert_eq!(path.as_deref(), Some(expected));
    }
    // The others say in the body whether they stream.
    for protocol in [Protocol::OpenAiChat, Protocol::OpenAiResponses, Protocol::AnthropicMessages] {
        let path = |stream| provider.path(protocol, Operation::Chat, "m", stream);
        assert_eq!(path(true), path(false));
    }
}

#[test]
fn azures_older_paths_have_the_deployment_in_them() {
    let fields = "base_url: 'https://me.openai.azure.com', auth: {header: api-key}, key: 'env:A', paths: azure, api_version: '2024-10-21'";
    let chat = [
        "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
        "-",
        "/openai/deployments/my%20gpt/embeddings?api-version=2024-10-21",
        "-",
        "-",
        "/openai/deployments/my%20gpt/completions?api-version=2024-10-21",
    ];
    check(fields, Protocol::OpenAiChat, "my gpt", chat);
    let provider = provider(fields);
    let responses = provider.path(Protocol::OpenAiResponses, Operation::Chat, "d", true);
    assert_eq!(responses.as_deref(), Some("/openai/responses?api-version=2024-10-21"));
    assert_eq!(provider.path(Protocol::AnthropicMessages, Operation::Chat, "d", true), None);
    assert!(provider.quirks.has(Quirk::Azure));
    check(
        "base_url: 'https://me.openai.azure.com/openai/v1', auth: {header: api-key}, key: 'env:A'",
        Protocol::OpenAiChat,
        "d",
        [
            "/openai/v1/chat/completions",
            "-",
            "/openai/v1/embeddings",
            "/openai/v1/rerank",
            "/openai/v1/moderations",
            "/openai/v1/completions",
        ],
    );
}

#[test]
fn a_key_in_the_query_is_added_last() {
    let secret = |_: &str| Some(SecretString::from("a&b=c d"));
    let providers = PROVIDERS.replace("auth: none}\n- {id: house", "auth: {query: key}, key: 'env:A'}\n- {id: house");
    let environment = Environment { secret: &secret, demo: None };
    let catalog = compile(&with("catalog/providers.yaml", &providers), &environment).unwrap();
    let gpt = model(&catalog, "gpt-4o");
    let query = &gpt.channels[1].provider;
    assert_eq!(query.keyed("/m:generateContent"), "/m:generateContent?key=a%26b%3Dc%20d");
    assert_eq!(query.keyed("/m?alt=sse"), "/m?alt=sse&key=a%26b%3Dc%20d");
    assert!(matches!(gpt.channels[0].provider.keyed("/m?x"), std::borrow::Cow::Borrowed("/m?x")), "a bearer's");
}
