//! Where an answer says it is from: Gemini counts in bytes of UTF-8, the canonical form in characters of a block.

use super::fields::get;
use crate::wire::Protocol;
use crate::wire::ir::Citation;
use crate::wire::json::{Json, Object, Str, Value};

/// Most of a candidate's visible text that is kept to find citations in.
pub const TEXT_KEPT_BYTES_MAX: usize = 256 << 10;
/// Most citations of one candidate; of more, the first ones are kept.
pub const CITATIONS_MAX: usize = 1024;

/// The visible text of a candidate and where its blocks begin in it.
#[derive(Debug, Default)]
pub struct Said {
    text: String,
    /// Block number and its first byte.
    blocks: Vec<(u32, usize)>,
    full: bool,
}

impl Said {
    pub fn begin(&mut self, block: u32) {
        self.blocks.push((block, self.text.len()));
    }

    pub fn push(&mut self, text: &Str<'_>) {
        let text = text.decode();
        self.full |= self.text.len() + text.len() > TEXT_KEPT_BYTES_MAX;
        if !self.full {
            self.text.push_str(&text);
        }
    }

    fn range(&self, block: u32) -> Option<(usize, usize)> {
        let at = self.blocks.iter().position(|(known, _)| *known == block)?;
        let end = self.blocks.get(at + 1).map_or(self.text.len(), |(_, start)| *start);
        Some((self.blocks[at].1, end))
    }

    /// Characters of a block for bytes of the candidate; `None` outside it.
    fn chars(&self, block: u32, bytes: (usize, usize)) -> Option<(u64, u64)> {
        let (start, end) = self.range(block)?;
        if bytes.0 < start || bytes.1 > end || bytes.0 > bytes.1 {
            return None;
        }
        let before = self.text.get(start..bytes.0)?.chars().count() as u64;
        let inside = self.text.get(bytes.0..bytes.1)?.chars().count() as u64;
        Some((before, before + inside))
    }

    /// Bytes of the candidate for characters of a block, and the text there.
    fn bytes(&self, block: u32, chars: (u64, u64)) -> Option<(usize, usize)> {
        let (start, end) = self.range(block)?;
        let text = self.text.get(start..end)?;
        let byte = |char: u64| {
            let char = usize::try_from(char).ok()?;
            text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(char).map(|at| start + at)
        };
        Some((byte(chars.0)?, byte(chars.1)?)).filter(|(from, to)| from <= to)
    }
}

/// A citation as an answer's metadata has it.
#[derive(Debug)]
pub struct Source {
    bytes: Option<(usize, usize)>,
    citation: Citation<'static>,
}

/// Adds the citations of a candidate that are not known yet: metadata may come more than once.
pub fn read(candidate: &Value<'_>, known: &mut Vec<Source>, emitted: &[Source]) {
    let mut found = Vec::new();
    if let Some(metadata) = get(candidate, "groundingMetadata") {
        grounded(metadata, &mut found);
    }
    let cited = get(candidate, "citationMetadata");
    let list = cited.and_then(|cited| get(cited, "citations").or_else(|| get(cited, "citationSources")));
    for citation in list.and_then(Value::as_array).unwrap_or_default() {
        found.push(source(citation, citation, Some(citation)));
    }
    for source in found {
        let same = |other: &Source| {
            other.bytes == source.bytes
                && other.citation.url == source.citation.url
                && other.citation.cited == source.citation.cited
        };
        if known.len() + emitted.len() < CITATIONS_MAX && !known.iter().any(same) && !emitted.iter().any(same) {
            known.push(source);
        }
    }
}

fn grounded(metadata: &Value<'_>, found: &mut Vec<Source>) {
    let list = |name: &str| get(metadata, name).and_then(Value::as_array).unwrap_or_default();
    let (chunks, supports) = (list("groundingChunks"), list("groundingSupports"));
    for support in supports {
        let segment = get(support, "segment");
        let indices = get(support, "groundingChunkIndices").and_then(Value::as_array).unwrap_or_default();
        for chunk in indices.iter().filter_map(Value::as_u64).filter_map(|at| chunks.get(usize::try_from(at).ok()?)) {
            found.push(source(chunk, inside(chunk), segment));
        }
        if found.len() > CITATIONS_MAX {
            return;
        }
    }
    if supports.is_empty() {
        found.extend(chunks.iter().take(CITATIONS_MAX).map(|chunk| source(chunk, inside(chunk), None)));
    }
}

/// What a chunk is: `web`, `retrievedContext`, `maps`, `image`.
fn inside<'v, 'a>(chunk: &'v Value<'a>) -> &'v Value<'a> {
    ["web", "retrievedContext", "maps", "image"].iter().find_map(|kind| get(chunk, kind)).unwrap_or(chunk)
}

fn source(raw: &Value<'_>, said: &Value<'_>, segment: Option<&Value<'_>>) -> Source {
    let text = |value: &Value<'_>, name: &str| match get(value, name) {
        Some(Value::String(text)) => Some(text.clone().into_owned()),
        _ => None,
    };
    let number = |segment: &Value<'_>, name: &str| get(segment, name).and_then(Value::as_u64);
    let bytes = segment.and_then(|segment| {
        let end = number(segment, "endIndex")?;
        let start = number(segment, "startIndex").unwrap_or(0);
        Some((usize::try_from(start).ok()?, usize::try_from(end).ok()?))
    });
    let citation = Citation {
        url: text(said, "uri").or_else(|| text(said, "sourceUri")),
        title: text(said, "title"),
        cited: segment.and_then(|segment| text(segment, "text")).or_else(|| text(said, "text")),
        span: None,
        origin: Protocol::GeminiGenerate,
        raw: raw.clone().into_owned(),
    };
    Source { bytes, citation }
}

impl Source {
    /// Where in the candidate it stands: where its offsets and its text agree, else where its text is found.
    fn place(&self, said: &Said) -> Option<(usize, usize)> {
        let (start, end) = self.bytes?;
        let Some(cited) = &self.citation.cited else { return Some((start, end)) };
        let cited = cited.decode();
        if said.text.get(start..end) == Some(cited.as_ref()) {
            return Some((start, end));
        }
        let found = memchr::memmem::find(said.text.as_bytes(), cited.as_bytes())?;
        Some((found, found + cited.len()))
    }

    /// The citation as one of `block`, if it stands there.
    pub fn within(&self, block: u32, said: &Said) -> Option<Citation<'static>> {
        if said.full {
            return None;
        }
        let span = said.chars(block, self.place(said)?)?;
        Some(Citation { span: Some(span), ..self.citation.clone() })
    }

    /// The citation wherever it stands.
    pub fn anywhere(&self) -> Citation<'static> {
        self.citation.clone()
    }
}

/// A citation on its way to a client.
#[derive(Debug)]
pub struct Shown {
    pub block: u32,
    pub citation: Citation<'static>,
}

/// `groundingMetadata`: every source once, and a support for every place.
pub fn write(json: &mut Json<'_>, shown: &[Shown], said: &Said) {
    let mut chunks: Vec<Value<'_>> = Vec::new();
    let mut supports = Vec::new();
    for Shown { block, citation } in shown {
        let chunk = chunk(citation);
        let at = chunks.iter().position(|known| *known == chunk).unwrap_or_else(|| {
            chunks.push(chunk);
            chunks.len() - 1
        });
        supports.push((at, citation.span.filter(|_| !said.full).and_then(|span| said.bytes(*block, span)), citation));
    }
    json.object(|json| {
        json.key("groundingChunks").array(|json| chunks.iter().for_each(|chunk| json.value(chunk)));
        if supports.iter().all(|(_, place, _)| place.is_none()) {
            return;
        }
        json.key("groundingSupports").array(|json| {
            for (at, place, citation) in &supports {
                json.object(|json| {
                    json.key("segment").object(|json| segment(json, *place, citation, said));
                    json.key("groundingChunkIndices").array(|json| json.uint(*at as u64));
                });
            }
        });
    });
}

fn segment(json: &mut Json<'_>, place: Option<(usize, usize)>, citation: &Citation<'_>, said: &Said) {
    match place {
        Some((start, end)) => {
            json.key("startIndex").uint(start as u64);
            json.key("endIndex").uint(end as u64);
            json.key("text").text(said.text.get(start..end).unwrap_or_default());
        }
        None => citation.cited.iter().for_each(|text| json.key("text").str(text)),
    }
}

fn chunk<'c>(citation: &'c Citation<'_>) -> Value<'c> {
    let own = citation.origin == Protocol::GeminiGenerate && get(&citation.raw, "startIndex").is_none();
    if own && citation.raw.as_object().is_some_and(|raw| !raw.is_empty()) {
        return citation.raw.clone();
    }
    let mut web = Object::default();
    citation.url.iter().for_each(|url| web.set("uri", Value::String(url.borrowed())));
    citation.title.iter().for_each(|title| web.set("title", Value::String(title.borrowed())));
    let mut chunk = Object::default();
    chunk.set("web", Value::Object(web));
    Value::Object(chunk)
}
