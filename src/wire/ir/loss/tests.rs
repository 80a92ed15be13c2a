//! The header that tells a client what was lost.

use super::*;

#[test]
fn losses_are_listed_in_the_clients_words() {
    let mut losses = Losses::default();
    assert_eq!((losses.header(Protocol::OpenAiChat), losses.first()), (None, None));
    losses.dropped(Feature::Seed);
    losses.dropped(Feature::TopK);
    losses.clamped(Feature::Temperature);
    losses.approximated(Feature::Reasoning);
    assert_eq!(losses.first().map(|loss| &loss.feature), Some(&Feature::Seed));
    let header = |protocol| losses.header(protocol).unwrap();
    assert_eq!(
        header(Protocol::OpenAiChat),
        "seed;dropped, top_k;dropped, temperature;clamped, reasoning_effort;approximated"
    );
    assert_eq!(
        header(Protocol::GeminiGenerate),
        "generationConfig.seed;dropped, generationConfig.topK;dropped, generationConfig.temperature;clamped, \
         generationConfig.thinkingConfig;approximated"
    );
}

#[test]
fn one_name_stands_once() {
    let mut losses = Losses::default();
    losses.dropped(Feature::Tools);
    losses.dropped(Feature::ServerTool);
    assert_eq!(losses.header(Protocol::OpenAiChat).as_deref(), Some("tools;dropped"));
}

#[test]
fn other_bytes_are_encoded() {
    let mut losses = Losses::default();
    losses.field("a b,c;d%\"\r\n€");
    assert_eq!(losses.header(Protocol::OpenAiChat).as_deref(), Some("a%20b%2Cc%3Bd%25%22%0D%0A%E2%82%AC;dropped"));
}

#[test]
fn a_long_list_is_cut_and_counted() {
    for name in ["x", "wide_name_of_a_field", &"€".repeat(70)] {
        let mut losses = Losses::default();
        let total = LOSSES_MAX + 44;
        (0..total).for_each(|at| losses.field(&format!("{at}{name}")));
        let header = losses.header(Protocol::OpenAiChat).unwrap();
        assert!(header.is_ascii() && header.len() <= LOSSES_HEADER_BYTES_MAX, "{}", header.len());
        let (listed, more) = header.rsplit_once("more;").unwrap();
        assert_eq!(listed.matches(";dropped").count() + more.parse::<usize>().unwrap(), total);
        assert!(listed.len() > LOSSES_HEADER_BYTES_MAX - 28 - 700);
    }
}

#[test]
fn a_list_that_fits_is_whole() {
    let mut losses = Losses::default();
    // Each entry is 32 bytes and its comma 2: thirty and a last of 4 bytes more are 1024.
    (0..29).for_each(|at| losses.field(&format!("{at:024}")));
    losses.field(&"x".repeat(1024 - 29 * 34 - 8));
    let header = losses.header(Protocol::OpenAiChat).unwrap();
    assert_eq!((header.len(), header.contains("more;")), (1024, false));
}
