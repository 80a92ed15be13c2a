//! The fields of Gemini's requests, and the refusal of all others in Google's wording. Must never know sockets.

use super::super::errors::Refusal;
use super::super::shape::{self, Field, MAY, Mismatch, NEED, Problem, Rules, Shape, Spelling};
use super::super::tree::Node;

/// What is asked of a model, after the colon of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Method {
    Generate,
    Stream,
    CountTokens,
    Embed,
    BatchEmbed,
}

impl Method {
    pub fn parse(name: &str) -> Option<Method> {
        Some(match name {
            "generateContent" => Method::Generate,
            "streamGenerateContent" => Method::Stream,
            "countTokens" => Method::CountTokens,
            "embedContent" => Method::Embed,
            "batchEmbedContents" => Method::BatchEmbed,
            _ => return None,
        })
    }
}

/// Checks names and types; afterwards all names are in camel case.
pub(in super::super) fn check(tree: &mut Node<'_>, method: Method, lenient: bool) -> Result<(), Refusal> {
    let shape = match method {
        Method::Generate | Method::Stream => &GENERATE,
        Method::CountTokens => &COUNT,
        Method::Embed => &EMBED,
        Method::BatchEmbed => &BATCH,
    };
    shape::check(tree, shape, Rules { proto: true, lenient }).map_err(|mismatch| Refusal::new(words(&mismatch)))
}

fn words(mismatch: &Mismatch) -> String {
    let path = mismatch.path(Spelling::Brackets);
    let at = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
    match &mismatch.problem {
        Problem::Unknown(name) => {
            format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.")
        }
        Problem::Missing(_) => format!("* {}: this field is required.", mismatch.field(Spelling::Brackets)),
        Problem::Wrong(expected) => format!("Invalid value{at}: expected {expected}"),
        Problem::Word(given, _) => format!("Invalid value{at}: \"{given}\" is none of its words"),
    }
}

static TEXT: Shape = Shape::Text;
static FLAG: Shape = Shape::Flag;
static WHOLE: Shape = Shape::Whole;
static NUMBER: Shape = Shape::Number;
static ANY: Shape = Shape::Any;
static DICT: Shape = Shape::Dict;
static TEXTS: Shape = Shape::List(&TEXT);

static BLOB: Shape = Shape::Object(&[("mimeType", &TEXT, NEED), ("data", &TEXT, NEED)]);
static FILE: Shape = Shape::Object(&[("mimeType", &TEXT, MAY), ("fileUri", &TEXT, NEED)]);
static MEDIA_RESOLUTION: Shape = Shape::Word(&[
    "MEDIA_RESOLUTION_UNSPECIFIED",
    "MEDIA_RESOLUTION_LOW",
    "MEDIA_RESOLUTION_MEDIUM",
    "MEDIA_RESOLUTION_HIGH",
    "MEDIA_RESOLUTION_ULTRA_HIGH",
]);
static PART: Shape = Shape::Object(&[
    ("text", &TEXT, MAY),
    ("thought", &FLAG, MAY),
    ("thoughtSignature", &TEXT, MAY),
    ("inlineData", &BLOB, MAY),
    ("fileData", &FILE, MAY),
    ("functionCall", &Shape::Object(&[("id", &TEXT, MAY), ("name", &TEXT, NEED), ("args", &DICT, MAY)]), MAY),
    (
        "functionResponse",
        &Shape::Object(&[
            ("id", &TEXT, MAY),
            ("name", &TEXT, NEED),
            ("response", &DICT, NEED),
            ("parts", &RESPONSE_PARTS, MAY),
            ("willContinue", &FLAG, MAY),
            ("scheduling", &TEXT, MAY),
        ]),
        MAY,
    ),
    ("executableCode", &DICT, MAY),
    ("codeExecutionResult", &DICT, MAY),
    ("toolCall", &DICT, MAY),
    ("toolResponse", &DICT, MAY),
    ("partMetadata", &DICT, MAY),
    (
        "videoMetadata",
        &Shape::Object(&[("startOffset", &TEXT, MAY), ("endOffset", &TEXT, MAY), ("fps", &NUMBER, MAY)]),
        MAY,
    ),
    ("mediaResolution", &Shape::Object(&[("level", &MEDIA_RESOLUTION, MAY)]), MAY),
]);
static RESPONSE_PARTS: Shape = Shape::List(&Shape::Object(&[("inlineData", &BLOB, MAY), ("fileData", &FILE, MAY)]));
static CONTENT: Shape = Shape::Object(CONTENT_FIELDS);
const CONTENT_FIELDS: &[Field] = &[("role", &TEXT, MAY), ("parts", &Shape::List(&PART), MAY)];

/// The schema of OpenAPI that `parameters` and `responseSchema` take.
static SCHEMA: Shape = Shape::Object(&[
    (
        "type",
        &Shape::Word(&["TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"]),
        MAY,
    ),
    ("format", &TEXT, MAY),
    ("title", &TEXT, MAY),
    ("description", &TEXT, MAY),
    ("nullable", &FLAG, MAY),
    ("enum", &TEXTS, MAY),
    ("items", &SCHEMA, MAY),
    ("minItems", &WHOLE, MAY),
    ("maxItems", &WHOLE, MAY),
    ("properties", &Shape::Map(&SCHEMA), MAY),
    ("required", &TEXTS, MAY),
    ("propertyOrdering", &TEXTS, MAY),
    ("minProperties", &WHOLE, MAY),
    ("maxProperties", &WHOLE, MAY),
    ("minimum", &NUMBER, MAY),
    ("maximum", &NUMBER, MAY),
    ("minLength", &WHOLE, MAY),
    ("maxLength", &WHOLE, MAY),
    ("pattern", &TEXT, MAY),
    ("example", &ANY, MAY),
    ("default", &ANY, MAY),
    ("anyOf", &Shape::List(&SCHEMA), MAY),
]);

static TOOLS: Shape = Shape::List(&Shape::Object(&[
    (
        "functionDeclarations",
        &Shape::List(&Shape::Object(&[
            ("name", &TEXT, NEED),
            ("description", &TEXT, MAY),
            ("parameters", &SCHEMA, MAY),
            ("parametersJsonSchema", &ANY, MAY),
            ("response", &SCHEMA, MAY),
            ("responseJsonSchema", &ANY, MAY),
            ("behavior", &Shape::Word(&["UNSPECIFIED", "BLOCKING", "NON_BLOCKING"]), MAY),
        ])),
        MAY,
    ),
    ("googleSearch", &DICT, MAY),
    ("googleSearchRetrieval", &DICT, MAY),
    ("urlContext", &DICT, MAY),
    ("codeExecution", &DICT, MAY),
    ("googleMaps", &DICT, MAY),
    ("fileSearch", &DICT, MAY),
    ("computerUse", &DICT, MAY),
    ("mcpServers", &ANY, MAY),
]));
static TOOL_CONFIG: Shape = Shape::Object(&[
    (
        "functionCallingConfig",
        &Shape::Object(&[
            ("mode", &Shape::Word(&["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"]), MAY),
            ("allowedFunctionNames", &TEXTS, MAY),
        ]),
        MAY,
    ),
    ("retrievalConfig", &DICT, MAY),
    ("includeServerSideToolInvocations", &FLAG, MAY),
]);
static THINKING: Shape = Shape::Object(&[
    ("includeThoughts", &FLAG, MAY),
    ("thinkingBudget", &WHOLE, MAY),
    ("thinkingLevel", &Shape::Word(&["THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"]), MAY),
]);
static GENERATION: Shape = Shape::Object(&[
    ("temperature", &NUMBER, MAY),
    ("topP", &NUMBER, MAY),
    ("topK", &NUMBER, MAY),
    ("candidateCount", &WHOLE, MAY),
    ("maxOutputTokens", &WHOLE, MAY),
    ("stopSequences", &TEXTS, MAY),
    ("presencePenalty", &NUMBER, MAY),
    ("frequencyPenalty", &NUMBER, MAY),
    ("seed", &WHOLE, MAY),
    ("responseLogprobs", &FLAG, MAY),
    ("logprobs", &WHOLE, MAY),
    ("responseMimeType", &TEXT, MAY),
    ("responseSchema", &SCHEMA, MAY),
    ("responseJsonSchema", &ANY, MAY),
    ("responseModalities", &Shape::List(&Shape::Word(&["TEXT", "IMAGE", "AUDIO"])), MAY),
    ("enableEnhancedCivicAnswers", &FLAG, MAY),
    ("speechConfig", &DICT, MAY),
    ("imageConfig", &DICT, MAY),
    ("mediaResolution", &MEDIA_RESOLUTION, MAY),
    ("thinkingConfig", &THINKING, MAY),
    ("translationConfig", &DICT, MAY),
]);
static SAFETY: Shape = Shape::List(&Shape::Object(&[("category", &TEXT, NEED), ("threshold", &TEXT, NEED)]));
static TIER: Shape = Shape::Word(&["SERVICE_TIER_UNSPECIFIED", "STANDARD", "FLEX", "PRIORITY"]);

const GENERATE_FIELDS: [Field; 10] = [
    ("contents", &Shape::List(&CONTENT), MAY),
    ("systemInstruction", &CONTENT, MAY),
    ("tools", &TOOLS, MAY),
    ("toolConfig", &TOOL_CONFIG, MAY),
    ("generationConfig", &GENERATION, MAY),
    ("safetySettings", &SAFETY, MAY),
    ("cachedContent", &TEXT, MAY),
    ("serviceTier", &TIER, MAY),
    ("store", &FLAG, MAY),
    ("model", &TEXT, MAY),
];
static GENERATE: Shape = Shape::Object(&GENERATE_FIELDS);
static COUNT: Shape = Shape::Object(&[
    ("model", &TEXT, MAY),
    ("contents", &Shape::List(&CONTENT), MAY),
    ("generateContentRequest", &GENERATE, MAY),
]);
static EMBED: Shape = Shape::Object(&[
    ("model", &TEXT, MAY),
    ("content", &CONTENT, NEED),
    ("taskType", &TEXT, MAY),
    ("title", &TEXT, MAY),
    ("outputDimensionality", &WHOLE, MAY),
]);
static BATCH: Shape = Shape::Object(&[("model", &TEXT, MAY), ("requests", &Shape::List(&EMBED), NEED)]);
