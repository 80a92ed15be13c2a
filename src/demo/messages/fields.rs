//! The fields of a Messages request, and the refusal of all others in Anthropic's wording. Must never know sockets.

use super::super::errors::Refusal;
use super::super::shape::{self, Field, MAY, NEED, Problem, Rules, Shape, Spelling, Tagged};
use super::super::tree::Node;

/// Checks names and types; `count_only` is the request to count tokens, which has fewer fields.
pub(in super::super) fn check(tree: &mut Node<'_>, count_only: bool, lenient: bool) -> Result<(), Refusal> {
    let shape = if count_only { &COUNT } else { &CREATE };
    shape::check(tree, shape, Rules { proto: false, lenient }).map_err(|mismatch| {
        let field = mismatch.field(Spelling::Dots);
        Refusal::new(match &mismatch.problem {
            Problem::Unknown(_) => format!("{field}: Extra inputs are not permitted"),
            Problem::Missing(_) => format!("{field}: Field required"),
            Problem::Wrong(expected) => format!("{field}: Input should be {expected}"),
            Problem::Word(given, words) => format!("{field}: Input should be one of '{words}', got '{given}'"),
        })
    })
}

static TEXT: Shape = Shape::Text;
static FLAG: Shape = Shape::Flag;
static WHOLE: Shape = Shape::Whole;
static NUMBER: Shape = Shape::Number;
static ANY: Shape = Shape::Any;
static DICT: Shape = Shape::Dict;
static TEXTS: Shape = Shape::List(&TEXT);
static CACHE: Shape =
    Shape::Object(&[("type", &Shape::Word(&["ephemeral"]), NEED), ("ttl", &Shape::Word(&["5m", "1h"]), MAY)]);

const MARK: Field = ("cache_control", &CACHE, MAY);

const TAG: Field = ("type", &TEXT, MAY);

const BASE64: &[Field] = &[TAG, ("media_type", &TEXT, NEED), ("data", &TEXT, NEED)];
const URL: &[Field] = &[TAG, ("url", &TEXT, NEED)];
const FILE: &[Field] = &[TAG, ("file_id", &TEXT, NEED)];

static IMAGE_SOURCE: Shape = Shape::Tagged(&Tagged {
    without: None,
    kinds: &[("base64", Some(IMAGE_BASE64)), ("url", Some(URL)), ("file", Some(FILE))],
});
const IMAGE_BASE64: &[Field] = &[
    TAG,
    ("media_type", &Shape::Word(&["image/jpeg", "image/png", "image/gif", "image/webp"]), NEED),
    ("data", &TEXT, NEED),
];
static DOCUMENT_SOURCE: Shape = Shape::Tagged(&Tagged {
    without: None,
    kinds: &[
        ("base64", Some(BASE64)),
        ("text", Some(BASE64)),
        ("url", Some(URL)),
        ("file", Some(FILE)),
        ("content", Some(&[TAG, ("content", &ANY, NEED)])),
    ],
});

const TEXT_BLOCK: &[Field] = &[TAG, ("text", &TEXT, NEED), ("citations", &ANY, MAY), MARK];
const IMAGE_BLOCK: &[Field] = &[TAG, ("source", &IMAGE_SOURCE, NEED), MARK];
const DOCUMENT_BLOCK: &[Field] = &[
    TAG,
    ("source", &DOCUMENT_SOURCE, NEED),
    ("title", &TEXT, MAY),
    ("context", &TEXT, MAY),
    ("citations", &ANY, MAY),
    MARK,
];
const SEARCH_RESULT: &[Field] =
    &[TAG, ("source", &TEXT, NEED), ("title", &TEXT, NEED), ("content", &ANY, NEED), ("citations", &ANY, MAY), MARK];
static RESULT_CONTENT: Shape = Shape::TextOr(&Shape::List(&Shape::Tagged(&Tagged {
    without: None,
    kinds: &[
        ("text", Some(TEXT_BLOCK)),
        ("image", Some(IMAGE_BLOCK)),
        ("document", Some(DOCUMENT_BLOCK)),
        ("search_result", Some(SEARCH_RESULT)),
        ("tool_reference", Some(&[TAG, ("tool_name", &TEXT, NEED), MARK])),
    ],
})));

static BLOCK: Shape = Shape::Tagged(&Tagged {
    without: None,
    kinds: &[
        ("text", Some(TEXT_BLOCK)),
        ("image", Some(IMAGE_BLOCK)),
        ("document", Some(DOCUMENT_BLOCK)),
        ("search_result", Some(SEARCH_RESULT)),
        (
            "tool_result",
            Some(&[
                TAG,
                ("tool_use_id", &TEXT, NEED),
                ("content", &RESULT_CONTENT, MAY),
                ("is_error", &FLAG, MAY),
                MARK,
            ]),
        ),
        (
            "tool_use",
            Some(&[
                TAG,
                ("id", &TEXT, NEED),
                ("name", &TEXT, NEED),
                ("input", &DICT, NEED),
                ("caller", &DICT, MAY),
                MARK,
            ]),
        ),
        ("thinking", Some(&[TAG, ("thinking", &TEXT, NEED), ("signature", &TEXT, NEED)])),
        ("redacted_thinking", Some(&[TAG, ("data", &TEXT, NEED)])),
        ("server_tool_use", None),
        ("web_search_tool_result", None),
        ("web_fetch_tool_result", None),
        ("code_execution_tool_result", None),
        ("bash_code_execution_tool_result", None),
        ("text_editor_code_execution_tool_result", None),
        ("tool_search_tool_result", None),
        ("mcp_tool_use", None),
        ("mcp_tool_result", None),
        ("container_upload", None),
        ("compaction", None),
    ],
});

static MESSAGES: Shape = Shape::List(&Shape::Object(&[
    ("role", &Shape::Word(&["user", "assistant", "system"]), NEED),
    ("content", &Shape::TextOr(&Shape::List(&BLOCK)), NEED),
]));
static SYSTEM: Shape =
    Shape::TextOr(&Shape::List(&Shape::Tagged(&Tagged { without: None, kinds: &[("text", Some(TEXT_BLOCK))] })));

static INPUT_SCHEMA: Shape = Shape::Dict;
static TOOLS: Shape = Shape::List(&Shape::Tagged(&Tagged {
    without: Some("custom"),
    kinds: &[
        (
            "custom",
            Some(&[
                TAG,
                ("name", &TEXT, NEED),
                ("description", &TEXT, MAY),
                ("input_schema", &INPUT_SCHEMA, NEED),
                ("strict", &FLAG, MAY),
                ("eager_input_streaming", &FLAG, MAY),
                ("defer_loading", &FLAG, MAY),
                ("input_examples", &ANY, MAY),
                ("allowed_callers", &TEXTS, MAY),
                MARK,
            ]),
        ),
        ("web_search_*", None),
        ("web_fetch_*", None),
        ("code_execution_*", None),
        ("bash_*", None),
        ("text_editor_*", None),
        ("memory_*", None),
        ("computer_*", None),
        ("tool_search_*", None),
        ("mcp_toolset", None),
    ],
}));
static TOOL_CHOICE: Shape = Shape::Object(&[
    ("type", &Shape::Word(&["auto", "any", "none", "tool"]), NEED),
    ("name", &TEXT, MAY),
    ("disable_parallel_tool_use", &FLAG, MAY),
]);
static DISPLAY: Shape = Shape::Word(&["summarized", "omitted"]);
static THINKING: Shape = Shape::Tagged(&Tagged {
    without: None,
    kinds: &[
        ("enabled", Some(&[TAG, ("budget_tokens", &WHOLE, NEED), ("display", &DISPLAY, MAY)])),
        ("adaptive", Some(&[TAG, ("display", &DISPLAY, MAY)])),
        ("disabled", Some(&[TAG])),
    ],
});
static OUTPUT_CONFIG: Shape = Shape::Object(&[
    ("effort", &Shape::Word(&["low", "medium", "high", "xhigh", "max"]), MAY),
    ("format", &Shape::Object(&[("type", &Shape::Word(&["json_schema"]), NEED), ("schema", &DICT, NEED)]), MAY),
    ("task_budget", &DICT, MAY),
]);

static CREATE: Shape = Shape::Object(&[
    ("model", &TEXT, NEED),
    ("messages", &MESSAGES, NEED),
    ("max_tokens", &WHOLE, NEED),
    ("system", &SYSTEM, MAY),
    ("tools", &TOOLS, MAY),
    ("tool_choice", &TOOL_CHOICE, MAY),
    ("thinking", &THINKING, MAY),
    ("output_config", &OUTPUT_CONFIG, MAY),
    ("temperature", &NUMBER, MAY),
    ("top_p", &NUMBER, MAY),
    ("top_k", &WHOLE, MAY),
    ("stop_sequences", &TEXTS, MAY),
    ("stream", &FLAG, MAY),
    ("metadata", &Shape::Object(&[("user_id", &TEXT, MAY)]), MAY),
    ("service_tier", &Shape::Word(&["auto", "standard_only"]), MAY),
    ("inference_geo", &TEXT, MAY),
    ("container", &ANY, MAY),
    ("context_management", &DICT, MAY),
    ("mcp_servers", &ANY, MAY),
    MARK,
]);

static COUNT: Shape = Shape::Object(&[
    ("model", &TEXT, NEED),
    ("messages", &MESSAGES, NEED),
    ("system", &SYSTEM, MAY),
    ("tools", &TOOLS, MAY),
    ("tool_choice", &TOOL_CHOICE, MAY),
    ("thinking", &THINKING, MAY),
    ("output_config", &OUTPUT_CONFIG, MAY),
    ("context_management", &DICT, MAY),
    ("mcp_servers", &ANY, MAY),
    MARK,
]);
