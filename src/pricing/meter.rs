//! The closed set of things that can be counted and priced.

/// A unit that a price row can name. The text form is what catalog files, usage records and metrics say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Meter {
    InputTokens,
    CacheReadTokens,
    CacheWriteTokens,
    InputAudioTokens,
    CacheReadAudioTokens,
    CacheWriteAudioTokens,
    InputImageTokens,
    CacheReadImageTokens,
    InputVideoTokens,
    OutputTokens,
    ReasoningTokens,
    OutputAudioTokens,
    OutputImageTokens,
    OutputVideoTokens,
    CitationTokens,
    InputAudioSeconds,
    InputVideoSeconds,
    OutputAudioSeconds,
    OutputVideoSeconds,
    InputImages,
    OutputImages,
    OutputMegapixels,
    ExtraMegapixels,
    InputCharacters,
    Pages,
    AnnotatedPages,
    WebSearchCalls,
    Requests,
}

impl Meter {
    pub const ALL: [Meter; 28] = [
        Meter::InputTokens,
        Meter::CacheReadTokens,
        Meter::CacheWriteTokens,
        Meter::InputAudioTokens,
        Meter::CacheReadAudioTokens,
        Meter::CacheWriteAudioTokens,
        Meter::InputImageTokens,
        Meter::CacheReadImageTokens,
        Meter::InputVideoTokens,
        Meter::OutputTokens,
        Meter::ReasoningTokens,
        Meter::OutputAudioTokens,
        Meter::OutputImageTokens,
        Meter::OutputVideoTokens,
        Meter::CitationTokens,
        Meter::InputAudioSeconds,
        Meter::InputVideoSeconds,
        Meter::OutputAudioSeconds,
        Meter::OutputVideoSeconds,
        Meter::InputImages,
        Meter::OutputImages,
        Meter::OutputMegapixels,
        Meter::ExtraMegapixels,
        Meter::InputCharacters,
        Meter::Pages,
        Meter::AnnotatedPages,
        Meter::WebSearchCalls,
        Meter::Requests,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Meter::InputTokens => "input_tokens",
            Meter::CacheReadTokens => "cache_read_tokens",
            Meter::CacheWriteTokens => "cache_write_tokens",
            Meter::InputAudioTokens => "input_audio_tokens",
            Meter::CacheReadAudioTokens => "cache_read_audio_tokens",
            Meter::CacheWriteAudioTokens => "cache_write_audio_tokens",
            Meter::InputImageTokens => "input_image_tokens",
            Meter::CacheReadImageTokens => "cache_read_image_tokens",
            Meter::InputVideoTokens => "input_video_tokens",
            Meter::OutputTokens => "output_tokens",
            Meter::ReasoningTokens => "reasoning_tokens",
            Meter::OutputAudioTokens => "output_audio_tokens",
            Meter::OutputImageTokens => "output_image_tokens",
            Meter::OutputVideoTokens => "output_video_tokens",
            Meter::CitationTokens => "citation_tokens",
            Meter::InputAudioSeconds => "input_audio_seconds",
            Meter::InputVideoSeconds => "input_video_seconds",
            Meter::OutputAudioSeconds => "output_audio_seconds",
            Meter::OutputVideoSeconds => "output_video_seconds",
            Meter::InputImages => "input_images",
            Meter::OutputImages => "output_images",
            Meter::OutputMegapixels => "output_megapixels",
            Meter::ExtraMegapixels => "extra_megapixels",
            Meter::InputCharacters => "input_characters",
            Meter::Pages => "pages",
            Meter::AnnotatedPages => "annotated_pages",
            Meter::WebSearchCalls => "web_search_calls",
            Meter::Requests => "requests",
        }
    }

    pub fn parse(name: &str) -> Option<Meter> {
        Meter::ALL.into_iter().find(|m| m.as_str() == name)
    }

    /// Tokens that the client sends, whatever their kind.
    pub const fn is_input_tokens(self) -> bool {
        match self {
            Meter::InputTokens
            | Meter::CacheReadTokens
            | Meter::CacheWriteTokens
            | Meter::InputAudioTokens
            | Meter::CacheReadAudioTokens
            | Meter::CacheWriteAudioTokens
            | Meter::InputImageTokens
            | Meter::CacheReadImageTokens
            | Meter::InputVideoTokens => true,
            Meter::OutputTokens
            | Meter::ReasoningTokens
            | Meter::OutputAudioTokens
            | Meter::OutputImageTokens
            | Meter::OutputVideoTokens
            | Meter::CitationTokens
            | Meter::InputAudioSeconds
            | Meter::InputVideoSeconds
            | Meter::OutputAudioSeconds
            | Meter::OutputVideoSeconds
            | Meter::InputImages
            | Meter::OutputImages
            | Meter::OutputMegapixels
            | Meter::ExtraMegapixels
            | Meter::InputCharacters
            | Meter::Pages
            | Meter::AnnotatedPages
            | Meter::WebSearchCalls
            | Meter::Requests => false,
        }
    }

    /// Tokens that the model produces, whatever their kind.
    pub const fn is_output_tokens(self) -> bool {
        matches!(
            self,
            Meter::OutputTokens
                | Meter::ReasoningTokens
                | Meter::OutputAudioTokens
                | Meter::OutputImageTokens
                | Meter::OutputVideoTokens
                | Meter::CitationTokens
        )
    }

    /// The meter whose row prices this one where it has none: the nearest kind that is not cheaper by nature. Meters
    /// without a fallback are free without a row.
    pub const fn fallback(self) -> Option<Meter> {
        match self {
            Meter::CacheReadAudioTokens | Meter::CacheWriteAudioTokens => Some(Meter::InputAudioTokens),
            Meter::CacheReadImageTokens => Some(Meter::InputImageTokens),
            Meter::CacheReadTokens
            | Meter::CacheWriteTokens
            | Meter::InputAudioTokens
            | Meter::InputImageTokens
            | Meter::InputVideoTokens => Some(Meter::InputTokens),
            Meter::ReasoningTokens | Meter::OutputAudioTokens | Meter::OutputImageTokens | Meter::OutputVideoTokens => {
                Some(Meter::OutputTokens)
            }
            Meter::InputTokens
            | Meter::OutputTokens
            | Meter::CitationTokens
            | Meter::InputAudioSeconds
            | Meter::InputVideoSeconds
            | Meter::OutputAudioSeconds
            | Meter::OutputVideoSeconds
            | Meter::InputImages
            | Meter::OutputImages
            | Meter::OutputMegapixels
            | Meter::ExtraMegapixels
            | Meter::InputCharacters
            | Meter::Pages
            | Meter::AnnotatedPages
            | Meter::WebSearchCalls
            | Meter::Requests => None,
        }
    }
}

/// Disjoint counts of one call, in the order of `Meter`, without zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meters(Vec<(Meter, u64)>);

impl Meters {
    /// Sets a meter's count. A zero removes it.
    pub fn set(&mut self, meter: Meter, count: u64) {
        match (self.0.binary_search_by_key(&meter, |(m, _)| *m), count) {
            (Ok(at), 0) => drop(self.0.remove(at)),
            (Ok(at), count) => self.0[at].1 = count,
            (Err(_), 0) => {}
            (Err(at), count) => self.0.insert(at, (meter, count)),
        }
    }

    pub fn get(&self, meter: Meter) -> u64 {
        self.0.binary_search_by_key(&meter, |(m, _)| *m).map_or(0, |at| self.0[at].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Meter, u64)> + '_ {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Meter, u64)> for Meters {
    fn from_iter<I: IntoIterator<Item = (Meter, u64)>>(counts: I) -> Meters {
        let mut meters = Meters::default();
        counts.into_iter().for_each(|(meter, count)| meters.set(meter, count));
        meters
    }
}

impl serde::Serialize for Meters {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(meter, count)| (meter.as_str(), count)))
    }
}
