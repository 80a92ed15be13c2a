//! Reranking in the form that Cohere and Jina share: documents that share words with the query come first. Must never know sockets.

use super::super::errors::Refusal;
use super::super::put::{put, put_string, tokens};
use super::super::reply::Identity;
use super::super::tree::Node;

const DOCUMENTS_MAX: usize = 1000;

/// The body that answers a rerank request.
pub(in super::super) fn rerank(tree: &Node<'_>, identity: &Identity) -> Result<Vec<u8>, Refusal> {
    let missing = |name: &str| Refusal::new(format!("Missing required parameter: '{name}'.")).param(name);
    let query = tree.text_of("query").ok_or_else(|| missing("query"))?;
    let documents: Option<Vec<&str>> =
        tree.list_of("documents").iter().map(|document| document.text().or_else(|| document.text_of("text"))).collect();
    let documents = documents.filter(|documents| (1..=DOCUMENTS_MAX).contains(&documents.len()));
    let documents = documents.ok_or_else(|| missing("documents"))?;
    let top = tree.whole_of("top_n").map_or(documents.len(), |count| count as usize);
    let tells = tree.flag_of("return_documents").unwrap_or(false);

    let words: Vec<String> = words(query).collect();
    let mut scores: Vec<(usize, f64)> =
        documents.iter().enumerate().map(|(index, text)| (index, score(&words, text))).collect();
    scores.sort_by(|one, two| two.1.total_cmp(&one.1).then(one.0.cmp(&two.0)));

    let mut out = Vec::with_capacity(512);
    put(&mut out, format_args!(r#"{{"id":"rerank-{}","model":"#, identity.id));
    put_string(&mut out, tree.text_of("model").unwrap_or_default());
    out.extend_from_slice(br#","results":["#);
    for (place, (index, score)) in scores.iter().take(top).enumerate() {
        let comma = if place > 0 { "," } else { "" };
        put(&mut out, format_args!(r#"{comma}{{"index":{index},"relevance_score":{score:?}"#));
        if tells {
            out.extend_from_slice(br#","document":{"text":"#);
            put_string(&mut out, documents[*index]);
            out.push(b'}');
        }
        out.push(b'}');
    }
    let total = tokens(query.len() + documents.iter().map(|text| text.len()).sum::<usize>());
    put(
        &mut out,
        format_args!(
            r#"],"usage":{{"total_tokens":{total}}},"meta":{{"api_version":{{"version":"2"}},"billed_units":{{"search_units":1}}}}}}"#
        ),
    );
    Ok(out)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The share of the query's words that the document has, in steps that a float writes exactly.
fn score(query: &[String], document: &str) -> f64 {
    let has: std::collections::HashSet<String> = words(document).collect();
    let shared = query.iter().filter(|word| has.contains(*word)).count();
    (shared * 1024 / query.len().max(1)) as f64 / 1024.0
}
