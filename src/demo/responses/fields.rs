//! The fields of a Responses request, and the refusal of all others in OpenAI's wording. Must never know sockets.

use super::super::errors::Refusal;
use super::super::shape::{self, Field, MAY, NEED, Problem, Rules, Shape, Spelling, Tagged};
use super::super::tree::Node;

/// Checks names and types; `count_only` is the request to count tokens, which has fewer fields.
pub(in super::super) fn check(tree: &mut Node<'_>, count_only: bool, lenient: bool) -> Result<(), Refusal> {
    let shape = if count_only { &COUNT } else { &CREATE };
    shape::check(tree, shape, Rules { proto: false, lenient }).map_err(|mismatch| {
        let field = mismatch.field(Spelling::Brackets);
        let (message, code) = match &mismatch.problem {
            Problem::Unknown(_) => (format!("Unknown parameter: '{field}'."), "unknown_parameter"),
            Problem::Missing(_) => (format!("Missing required parameter: '{field}'."), "missing_required_parameter"),
            Problem::Wrong(expected) => (format!("Invalid type for '{field}': expected {expected}."), "invalid_type"),
            Problem::Word(given, words) => {
                (format!("Invalid value: '{given}'. Supported values are: '{words}'."), "invalid_value")
            }
        };
        Refusal::new(message).param(field).code(code)
    })
}

static TEXT: Shape = Shape::Text;
static FLAG: Shape = Shape::Flag;
static WHOLE: Shape = Shape::Whole;
static NUMBER: Shape = Shape::Number;
static ANY: Shape = Shape::Any;
static DICT: Shape = Shape::Dict;
static STATUS: Shape = Shape::Word(&["in_progress", "completed", "incomplete"]);
static DETAIL: Shape = Shape::Word(&["low", "high", "auto", "original"]);

const TAG: Field = ("type", &TEXT, MAY);

const BREAKPOINT: Field = ("prompt_cache_breakpoint", &DICT, MAY);

const INPUT_TEXT: &[Field] = &[TAG, ("text", &TEXT, NEED), BREAKPOINT];
const INPUT_IMAGE: &[Field] =
    &[TAG, ("image_url", &TEXT, MAY), ("file_id", &TEXT, MAY), ("detail", &DETAIL, MAY), BREAKPOINT];
const INPUT_FILE: &[Field] = &[
    TAG,
    ("file_data", &TEXT, MAY),
    ("file_url", &TEXT, MAY),
    ("file_id", &TEXT, MAY),
    ("filename", &TEXT, MAY),
    ("detail", &DETAIL, MAY),
    BREAKPOINT,
];
const INPUT_AUDIO: &[Field] = &[
    TAG,
    ("input_audio", &Shape::Object(&[("data", &TEXT, NEED), ("format", &Shape::Word(&["mp3", "wav"]), NEED)]), NEED),
];
const OUTPUT_TEXT: &[Field] = &[TAG, ("text", &TEXT, NEED), ("annotations", &ANY, MAY), ("logprobs", &ANY, MAY)];
const REFUSAL: &[Field] = &[TAG, ("refusal", &TEXT, NEED)];

static MESSAGE_CONTENT: Shape = Shape::TextOr(&Shape::List(&Shape::Tagged(&Tagged {
    without: None,
    kinds: &[
        ("input_text", Some(INPUT_TEXT)),
        ("input_image", Some(INPUT_IMAGE)),
        ("input_file", Some(INPUT_FILE)),
        ("input_audio", Some(INPUT_AUDIO)),
        ("output_text", Some(OUTPUT_TEXT)),
        ("refusal", Some(REFUSAL)),
    ],
})));
static OUTPUT_CONTENT: Shape = Shape::TextOr(&Shape::List(&Shape::Tagged(&Tagged {
    without: None,
    kinds: &[("input_text", Some(INPUT_TEXT)), ("input_image", Some(INPUT_IMAGE)), ("input_file", Some(INPUT_FILE))],
})));
static SUMMARY: Shape = Shape::List(&Shape::Tagged(&Tagged {
    without: None,
    kinds: &[("summary_text", Some(&[TAG, ("text", &TEXT, NEED)]))],
}));
static REASONING_TEXTS: Shape = Shape::List(&Shape::Tagged(&Tagged {
    without: None,
    kinds: &[("reasoning_text", Some(&[TAG, ("text", &TEXT, NEED)]))],
}));

static ITEM: Shape = Shape::Tagged(&Tagged {
    without: Some("message"),
    kinds: &[
        (
            "message",
            Some(&[
                TAG,
                ("role", &Shape::Word(&["user", "system", "developer", "assistant"]), NEED),
                ("content", &MESSAGE_CONTENT, NEED),
                ("id", &TEXT, MAY),
                ("status", &STATUS, MAY),
                ("phase", &Shape::Word(&["commentary", "final_answer"]), MAY),
            ]),
        ),
        (
            "function_call",
            Some(&[
                TAG,
                ("call_id", &TEXT, NEED),
                ("name", &TEXT, NEED),
                ("arguments", &TEXT, NEED),
                ("id", &TEXT, MAY),
                ("status", &STATUS, MAY),
                ("namespace", &TEXT, MAY),
                ("caller", &DICT, MAY),
            ]),
        ),
        (
            "function_call_output",
            Some(&[
                TAG,
                ("call_id", &TEXT, NEED),
                ("output", &OUTPUT_CONTENT, NEED),
                ("id", &TEXT, MAY),
                ("status", &STATUS, MAY),
                ("caller", &DICT, MAY),
            ]),
        ),
        (
            "custom_tool_call",
            Some(&[
                TAG,
                ("call_id", &TEXT, NEED),
                ("name", &TEXT, NEED),
                ("input", &TEXT, NEED),
                ("id", &TEXT, MAY),
                ("status", &STATUS, MAY),
                ("namespace", &TEXT, MAY),
            ]),
        ),
        (
            "custom_tool_call_output",
            Some(&[
                TAG,
                ("call_id", &TEXT, NEED),
                ("output", &OUTPUT_CONTENT, NEED),
                ("id", &TEXT, MAY),
                ("status", &STATUS, MAY),
            ]),
        ),
        (
            "reasoning",
            Some(&[
                TAG,
                ("summary", &SUMMARY, NEED),
                ("id", &TEXT, MAY),
                ("content", &REASONING_TEXTS, MAY),
                ("encrypted_content", &TEXT, MAY),
                ("status", &STATUS, MAY),
            ]),
        ),
        ("item_reference", Some(&[TAG, ("id", &TEXT, NEED)])),
        ("compaction", None),
        ("web_search_call", None),
        ("file_search_call", None),
        ("code_interpreter_call", None),
        ("image_generation_call", None),
        ("mcp_*", None),
        ("computer_call*", None),
        ("local_shell_call*", None),
        ("shell_call*", None),
        ("apply_patch_call*", None),
        ("tool_search_*", None),
        ("program*", None),
        ("additional_tools", None),
    ],
});
static INPUT: Shape = Shape::TextOr(&Shape::List(&ITEM));

static TOOLS: Shape = Shape::List(&Shape::Tagged(&Tagged {
    without: None,
    kinds: &[
        (
            "function",
            Some(&[
                TAG,
                ("name", &TEXT, NEED),
                ("description", &TEXT, MAY),
                ("parameters", &DICT, MAY),
                ("strict", &FLAG, MAY),
                ("defer_loading", &FLAG, MAY),
                ("output_schema", &DICT, MAY),
                ("allowed_callers", &ANY, MAY),
            ]),
        ),
        (
            "custom",
            Some(&[
                TAG,
                ("name", &TEXT, NEED),
                ("description", &TEXT, MAY),
                ("format", &DICT, MAY),
                ("defer_loading", &FLAG, MAY),
            ]),
        ),
        ("namespace", None),
        ("web_search*", None),
        ("file_search", None),
        ("code_interpreter", None),
        ("image_generation", None),
        ("mcp", None),
        ("computer*", None),
        ("local_shell", None),
        ("shell", None),
        ("apply_patch", None),
        ("tool_search", None),
        ("programmatic_tool_calling", None),
    ],
}));
static TOOL_CHOICE: Shape = Shape::TextOr(&Shape::Tagged(&Tagged {
    without: None,
    kinds: &[
        ("function", Some(&[TAG, ("name", &TEXT, NEED)])),
        ("custom", Some(&[TAG, ("name", &TEXT, NEED)])),
        (
            "allowed_tools",
            Some(&[
                TAG,
                ("mode", &Shape::Word(&["auto", "required"]), NEED),
                ("tools", &Shape::List(&Shape::Dict), NEED),
            ]),
        ),
        ("*", None),
    ],
}));

static FORMAT: Shape = Shape::Tagged(&Tagged {
    without: None,
    kinds: &[
        ("text", Some(&[TAG])),
        ("json_object", Some(&[TAG])),
        (
            "json_schema",
            Some(&[
                TAG,
                ("name", &TEXT, NEED),
                ("schema", &DICT, NEED),
                ("strict", &FLAG, MAY),
                ("description", &TEXT, MAY),
            ]),
        ),
        ("grammar", None),
        ("python", None),
    ],
});
static TEXT_CONFIG: Shape =
    Shape::Object(&[("format", &FORMAT, MAY), ("verbosity", &Shape::Word(&["low", "medium", "high"]), MAY)]);
static EFFORT: Shape = Shape::Word(&["none", "minimal", "low", "medium", "high", "xhigh", "max"]);
static REASONING: Shape = Shape::Object(&[
    ("effort", &EFFORT, MAY),
    ("summary", &Shape::Word(&["auto", "concise", "detailed"]), MAY),
    ("generate_summary", &Shape::Word(&["auto", "concise", "detailed"]), MAY),
    ("context", &Shape::Word(&["auto", "current_turn", "all_turns"]), MAY),
    ("mode", &Shape::Word(&["standard", "pro"]), MAY),
]);

static CREATE: Shape = Shape::Object(&[
    ("model", &TEXT, NEED),
    ("input", &INPUT, MAY),
    ("instructions", &TEXT, MAY),
    ("background", &FLAG, MAY),
    ("conversation", &ANY, MAY),
    ("context_management", &ANY, MAY),
    ("include", &Shape::List(&TEXT), MAY),
    ("max_output_tokens", &WHOLE, MAY),
    ("max_tool_calls", &WHOLE, MAY),
    ("metadata", &Shape::Map(&TEXT), MAY),
    ("moderation", &DICT, MAY),
    ("parallel_tool_calls", &FLAG, MAY),
    ("previous_response_id", &TEXT, MAY),
    ("prompt", &DICT, MAY),
    ("client_metadata", &DICT, MAY),
    ("prompt_cache_key", &TEXT, MAY),
    ("prompt_cache_options", &DICT, MAY),
    ("prompt_cache_retention", &TEXT, MAY),
    ("reasoning", &REASONING, MAY),
    ("safety_identifier", &TEXT, MAY),
    ("service_tier", &Shape::Word(&["auto", "default", "flex", "scale", "priority", "fast"]), MAY),
    ("store", &FLAG, MAY),
    ("stream", &FLAG, MAY),
    ("stream_options", &Shape::Object(&[("include_obfuscation", &FLAG, MAY)]), MAY),
    ("temperature", &NUMBER, MAY),
    ("text", &TEXT_CONFIG, MAY),
    ("tool_choice", &TOOL_CHOICE, MAY),
    ("tools", &TOOLS, MAY),
    ("top_logprobs", &WHOLE, MAY),
    ("top_p", &NUMBER, MAY),
    ("truncation", &Shape::Word(&["auto", "disabled"]), MAY),
    ("user", &TEXT, MAY),
]);

static COUNT: Shape = Shape::Object(&[
    ("model", &TEXT, MAY),
    ("input", &INPUT, MAY),
    ("instructions", &TEXT, MAY),
    ("conversation", &ANY, MAY),
    ("parallel_tool_calls", &FLAG, MAY),
    ("previous_response_id", &TEXT, MAY),
    ("reasoning", &REASONING, MAY),
    ("text", &TEXT_CONFIG, MAY),
    ("tool_choice", &TOOL_CHOICE, MAY),
    ("tools", &TOOLS, MAY),
    ("truncation", &Shape::Word(&["auto", "disabled"]), MAY),
]);
