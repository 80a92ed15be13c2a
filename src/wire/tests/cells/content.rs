//! Section 7.2: content parts.

use super::*;

const PNG: &str = "iVBORw0KGgo=";
const PDF: &str = "JVBERi0xLjQ=";

#[test]
fn images_by_url() {
    let url = "https://a.example/x.png";
    let chat = said(OpenAiChat, json!([{"type": "image_url", "image_url": {"url": url}}]));
    cell("image URL", OpenAiChat, RS, chat.clone(), &[Is("/input/0/content/0/image_url", json!(url)), Whole]);
    cell("image URL", OpenAiChat, AM, chat.clone(), &[Is("/messages/0/content/0/source/url", json!(url)), Whole]);
    cell(
        "image URL",
        OpenAiChat,
        &["gemini-3", "vertex"],
        chat.clone(),
        &[
            Is("/contents/0/parts/0/fileData/fileUri", json!(url)),
            Is("/contents/0/parts/0/fileData/mimeType", json!("image/png")),
            Whole,
        ],
    );
    // To be fetched first; who does not is told so.
    cell("image URL", OpenAiChat, &["gemini-2.5"], chat, &[Refused("messages")]);
    let blocks = said(AnthropicMessages, json!([{"type": "image", "source": {"type": "url", "url": url}}]));
    cell(
        "image URL",
        AnthropicMessages,
        CC,
        blocks.clone(),
        &[Is("/messages/0/content/0/image_url/url", json!(url)), Whole],
    );
    cell("image URL", AnthropicMessages, RS, blocks, &[Is("/input/0/content/0/image_url", json!(url)), Whole]);
    let parts = said(GeminiGenerate, json!([{"fileData": {"mimeType": "image/png", "fileUri": url}}]));
    cell(
        "image URL",
        GeminiGenerate,
        CC,
        parts.clone(),
        &[Is("/messages/0/content/0/image_url/url", json!(url)), Whole],
    );
    cell("image URL", GeminiGenerate, AM, parts, &[Is("/messages/0/content/0/source/url", json!(url)), Whole]);
}

#[test]
fn images_as_bytes() {
    let data = format!("data:image/png;base64,{PNG}");
    let chat = said(OpenAiChat, json!([{"type": "image_url", "image_url": {"url": data}}]));
    cell("image base64", OpenAiChat, RS, chat.clone(), &[Is("/input/0/content/0/image_url", json!(data)), Whole]);
    cell(
        "image base64",
        OpenAiChat,
        AM,
        chat.clone(),
        &[Is("/messages/0/content/0/source", json!({"type": "base64", "media_type": "image/png", "data": PNG})), Whole],
    );
    cell(
        "image base64",
        OpenAiChat,
        GM,
        chat,
        &[Is("/contents/0/parts/0/inlineData", json!({"mimeType": "image/png", "data": PNG})), Whole],
    );
    // URL-safe letters become the standard ones.
    let parts = said(GeminiGenerate, json!([{"inlineData": {"mimeType": "image/png", "data": "_-8"}}]));
    cell(
        "image base64",
        GeminiGenerate,
        CC,
        parts.clone(),
        &[Is("/messages/0/content/0/image_url/url", json!("data:image/png;base64,/+8=")), Whole],
    );
    cell("image base64", GeminiGenerate, AM, parts, &[Is("/messages/0/content/0/source/data", json!("/+8=")), Whole]);
    // What Anthropic cannot read.
    let heic = said(GeminiGenerate, json!([{"inlineData": {"mimeType": "image/heic", "data": "AAAA"}}]));
    cell("image kinds", GeminiGenerate, AM, heic, &[Refused("contents")]);
}

#[test]
fn detail() {
    let image = |detail: &str| {
        said(
            OpenAiChat,
            json!([{"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}"), "detail": detail}}]),
        )
    };
    cell("detail", OpenAiChat, RS, image("low"), &[Is("/input/0/content/0/detail", json!("low")), Whole]);
    cell("detail", OpenAiChat, AM, image("low"), &[Lost("detail;dropped")]);
    cell("detail", OpenAiChat, AM, image("auto"), &[Whole]);
    cell(
        "detail",
        OpenAiChat,
        GM,
        image("low"),
        &[Is("/generationConfig/mediaResolution", json!("MEDIA_RESOLUTION_LOW")), Whole],
    );
    cell(
        "detail",
        OpenAiChat,
        GM,
        image("high"),
        &[Is("/generationConfig/mediaResolution", json!("MEDIA_RESOLUTION_HIGH")), Whole],
    );
    let part = said(
        GeminiGenerate,
        json!([
        {"inlineData": {"mimeType": "image/png", "data": PNG}, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}}]),
    );
    for to in [CC, RS, AM] {
        cell("detail", GeminiGenerate, to, part.clone(), &[Lost("contents[0].parts[0].mediaResolution;dropped")]);
    }
    let whole = gm(json!({"generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}}));
    for to in [CC, RS, AM] {
        cell("detail", GeminiGenerate, to, whole.clone(), &[Lost("generationConfig.mediaResolution;dropped")]);
    }
}

#[test]
fn files_by_id_are_known_to_their_vendor_alone() {
    let file = |protocol| match protocol {
        OpenAiChat => said(protocol, json!([{"type": "file", "file": {"file_id": "file_1"}}])),
        OpenAiResponses => said(protocol, json!([{"type": "input_file", "file_id": "file_1"}])),
        AnthropicMessages => {
            said(protocol, json!([{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]))
        }
        GeminiGenerate => said(
            protocol,
            json!([{"fileData": {"mimeType": "application/pdf", "fileUri":
            "https://generativelanguage.googleapis.com/v1beta/files/abc"}}]),
        ),
    };
    for to in [AM, GM] {
        cell("file id", OpenAiChat, to, file(OpenAiChat), &[Refused("messages")]);
        cell("file id", OpenAiResponses, to, file(OpenAiResponses), &[Refused("input")]);
    }
    for to in [CC, RS, GM] {
        cell("file id", AnthropicMessages, to, file(AnthropicMessages), &[Refused("messages")]);
    }
    for to in [CC, RS, AM] {
        cell("file id", GeminiGenerate, to, file(GeminiGenerate), &[Refused("contents")]);
    }
    cell("file id", OpenAiChat, RS, file(OpenAiChat), &[Is("/input/0/content/0/file_id", json!("file_1")), Whole]);
    cell(
        "file id",
        OpenAiResponses,
        CC,
        file(OpenAiResponses),
        &[Is("/messages/0/content/0/file/file_id", json!("file_1")), Whole],
    );
    let image = said(OpenAiResponses, json!([{"type": "input_image", "file_id": "file_1"}]));
    cell("image id", OpenAiResponses, CC, image, &[Refused("input")]);
}

#[test]
fn pdfs() {
    let data = format!("data:application/pdf;base64,{PDF}");
    let chat = said(OpenAiChat, json!([{"type": "file", "file": {"file_data": data, "filename": "a.pdf"}}]));
    cell(
        "PDF",
        OpenAiChat,
        RS,
        chat.clone(),
        &[Is("/input/0/content/0/file_data", json!(data)), Is("/input/0/content/0/filename", json!("a.pdf")), Whole],
    );
    cell(
        "PDF",
        OpenAiChat,
        AM,
        chat.clone(),
        &[
            Is("/messages/0/content/0/source/media_type", json!("application/pdf")),
            Is("/messages/0/content/0/title", json!("a.pdf")),
            Whole,
        ],
    );
    cell(
        "PDF",
        OpenAiChat,
        &["vertex"],
        chat.clone(),
        &[Is("/contents/0/parts/0/inlineData/displayName", json!("a.pdf")), Whole],
    );
    cell(
        "PDF",
        OpenAiChat,
        &["gemini-3"],
        chat,
        &[Is("/contents/0/parts/0/inlineData/mimeType", json!("application/pdf")), Lost("filename;approximated")],
    );
    let url = "https://a.example/x.pdf";
    let item = said(OpenAiResponses, json!([{"type": "input_file", "file_url": url}]));
    cell("PDF URL", OpenAiResponses, AM, item.clone(), &[Is("/messages/0/content/0/source/url", json!(url)), Whole]);
    cell("PDF URL", OpenAiResponses, CC, item.clone(), &[Refused("input")]);
    cell("PDF URL", OpenAiResponses, &["gemini-2.5"], item, &[Refused("input")]);
    let block = said(AnthropicMessages, json!([{"type": "document", "source": {"type": "url", "url": url}}]));
    cell("PDF URL", AnthropicMessages, RS, block.clone(), &[Is("/input/0/content/0/file_url", json!(url)), Whole]);
    cell("PDF URL", AnthropicMessages, CC, block, &[Refused("messages")]);
}

#[test]
fn text_files() {
    let block = said(
        AnthropicMessages,
        json!([
        {"type": "document", "title": "log", "context": "of today", "source": {"type": "text", "media_type": "text/plain", "data": "lines"}}]),
    );
    cell("text file", AnthropicMessages, CC, block.clone(), &[Has("log"), Has("lines"), Has("of today")]);
    cell("text file", AnthropicMessages, RS, block.clone(), &[Has("log"), Has("lines"), Lost("context;dropped")]);
    cell(
        "text file",
        AnthropicMessages,
        GM,
        block,
        &[Is("/contents/0/parts/0/inlineData/mimeType", json!("text/plain")), Lost("context;dropped")],
    );
    let parts = said(GeminiGenerate, json!([{"inlineData": {"mimeType": "text/plain", "data": "bGluZXM="}}]));
    cell(
        "text file",
        GeminiGenerate,
        AM,
        parts.clone(),
        &[Is("/messages/0/content/0/source/data", json!("lines")), Whole],
    );
    cell("text file", GeminiGenerate, CC, parts, &[Has("lines"), Whole]);
    let cited = said(
        AnthropicMessages,
        json!([
        {"type": "document", "citations": {"enabled": true}, "source": {"type": "text", "media_type": "text/plain", "data": "lines"}}]),
    );
    for to in [CC, RS, GM] {
        cell("citations", AnthropicMessages, to, cited.clone(), &[Lost("citations;dropped")]);
    }
    let found = said(
        AnthropicMessages,
        json!([
        {"type": "search_result", "source": "https://a.example", "title": "T", "content": [{"type": "text", "text": "found"}]}]),
    );
    for to in [CC, RS] {
        cell(
            "search result",
            AnthropicMessages,
            to,
            found.clone(),
            &[Has("https://a.example"), Has("found"), Has("T"), Whole],
        );
    }
}

#[test]
fn sound() {
    let chat = said(OpenAiChat, json!([{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}}]));
    cell("audio in", OpenAiChat, RS, chat.clone(), &[Is("/input/0/content/0/input_audio/format", json!("mp3")), Whole]);
    cell("audio in", OpenAiChat, AM, chat.clone(), &[Refused("messages")]);
    cell("audio in", OpenAiChat, GM, chat, &[Is("/contents/0/parts/0/inlineData/mimeType", json!("audio/mp3")), Whole]);
    let parts = said(GeminiGenerate, json!([{"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}]));
    cell(
        "audio in",
        GeminiGenerate,
        CC,
        parts.clone(),
        &[Is("/messages/0/content/0/input_audio", json!({"data": "UklGRg==", "format": "wav"})), Whole],
    );
    cell("audio in", GeminiGenerate, AM, parts, &[Refused("contents")]);
    let spoken = cc(json!({"modalities": ["text", "audio"], "audio": {"voice": "Kore", "format": "pcm16"}}));
    cell("audio out", OpenAiChat, RS, spoken.clone(), &[Refused("modalities")]);
    cell("audio out", OpenAiChat, AM, spoken.clone(), &[Refused("modalities")]);
    cell(
        "audio out",
        OpenAiChat,
        GM,
        spoken,
        &[Is("/generationConfig/responseModalities/0", json!("AUDIO")), Has("Kore"), Whole],
    );
    let spoken = gm(json!({"generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": {"voiceConfig":
        {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}}));
    cell(
        "audio out",
        GeminiGenerate,
        OPENAI,
        spoken.clone(),
        &[Is("/audio/voice", json!("Kore")), Is("/modalities/1", json!("audio"))],
    );
    cell("audio out", GeminiGenerate, AM, spoken.clone(), &[Refused("generationConfig.responseModalities")]);
    cell("audio out", GeminiGenerate, RS, spoken, &[Refused("generationConfig.responseModalities")]);
}

#[test]
fn films() {
    let chat = said(OpenAiChat, json!([{"type": "video_url", "video_url": {"url": "https://a.example/x.mp4"}}]));
    cell("video in", OpenAiChat, RS, chat.clone(), &[Refused("messages")]);
    cell("video in", OpenAiChat, AM, chat.clone(), &[Refused("messages")]);
    cell(
        "video in",
        OpenAiChat,
        &["gemini-3"],
        chat,
        &[Is("/contents/0/parts/0/fileData/fileUri", json!("https://a.example/x.mp4")), Whole],
    );
    let parts = said(
        GeminiGenerate,
        json!([{"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}, "videoMetadata": {"fps": 2}}]),
    );
    cell("video in", GeminiGenerate, OPENAI, parts.clone(), &[Refused("contents")]);
    cell(
        "video in",
        GeminiGenerate,
        &["openrouter"],
        parts.clone(),
        &[Has("data:video/mp4;base64,AAAA"), Lost("contents[0].parts[0].videoMetadata;dropped")],
    );
    cell("video in", GeminiGenerate, RS, parts.clone(), &[Refused("contents")]);
    cell("video in", GeminiGenerate, AM, parts, &[Refused("contents")]);
}

#[test]
fn images_out() {
    let asked = gm(
        json!({"generationConfig": {"responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "1:1"}}}),
    );
    cell(
        "image out",
        GeminiGenerate,
        &["openrouter"],
        asked.clone(),
        &[Is("/modalities", json!(["text", "image"])), Lost("generationConfig.imageConfig;dropped")],
    );
    cell("image out", GeminiGenerate, RS, asked.clone(), &[Is("/tools/0/type", json!("image_generation"))]);
    cell("image out", GeminiGenerate, AM, asked, &[Refused("generationConfig.responseModalities")]);
    let asked = cc(json!({"modalities": ["text", "image"]}));
    cell(
        "image out",
        OpenAiChat,
        GM,
        asked.clone(),
        &[Is("/generationConfig/responseModalities", json!(["TEXT", "IMAGE"])), Whole],
    );
    cell("image out", OpenAiChat, AM, asked, &[Refused("modalities")]);
}

/// What a model drew stands in its own turn; where that takes texts alone, the user shows it.
#[test]
fn images_of_the_model() {
    let chat = cc(json!({"messages": [
        {"role": "user", "content": "draw"},
        {"role": "assistant", "content": "here", "images": [{"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}}]},
        {"role": "user", "content": "bluer"}]}));
    cell(
        "drawn",
        OpenAiChat,
        RS,
        chat.clone(),
        &[Is("/input/1/role", json!("assistant")), Has(PNG), Lost("role;approximated")],
    );
    cell(
        "drawn",
        OpenAiChat,
        AM,
        chat.clone(),
        &[
            Is("/messages/1/role", json!("assistant")),
            Is("/messages/2/content/1/source/data", json!(PNG)),
            Is("/messages/2/content/2/text", json!("bluer")),
            Lost("role;approximated"),
        ],
    );
    cell(
        "drawn",
        OpenAiChat,
        GM,
        chat,
        &[Is("/contents/1/role", json!("model")), Is("/contents/1/parts/1/inlineData/data", json!(PNG)), Whole],
    );
    let parts = gm(json!({"contents": [
        {"role": "user", "parts": [{"text": "draw"}]},
        {"role": "model", "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]},
        {"role": "user", "parts": [{"text": "bluer"}]}]}));
    cell("drawn", GeminiGenerate, CC, parts.clone(), &[Has(PNG), Has("bluer"), Lost("role;approximated")]);
    cell("drawn", GeminiGenerate, AM, parts, &[Has(PNG), Has("bluer"), Lost("role;approximated")]);
    let items = rs(json!({"input": [
        {"role": "user", "content": "draw"}, {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG},
        {"role": "user", "content": "bluer"}]}));
    for to in [CC, AM, GM] {
        cell("drawn", OpenAiResponses, to, items.clone(), &[Has(PNG), Has("bluer")]);
    }
}

#[test]
fn refusals() {
    let chat = cc(json!({"messages": [
        {"role": "user", "content": "u"}, {"role": "assistant", "content": null, "refusal": "no"}, {"role": "user", "content": "v"}]}));
    cell(
        "refusal",
        OpenAiChat,
        RS,
        chat.clone(),
        &[Is("/input/1/content/0", json!({"type": "refusal", "refusal": "no"})), Whole],
    );
    cell("refusal", OpenAiChat, AM, chat.clone(), &[Is("/messages/1/role", json!("assistant")), Has("no"), Whole]);
    cell("refusal", OpenAiChat, GM, chat, &[Is("/contents/1/parts/0/text", json!("no")), Whole]);
    let items = rs(json!({"input": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, {"role": "user", "content": "v"}]}));
    cell("refusal", OpenAiResponses, CC, items, &[Is("/messages/1/refusal", json!("no")), Whole]);
}

#[test]
fn citations_of_earlier_answers() {
    let blocks = am(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": [{"type": "text", "text": "a", "citations": [{"type": "char_location", "cited_text": "c"}]}]},
        {"role": "user", "content": "v"}]}));
    for to in [CC, RS, GM] {
        cell(
            "citations",
            AnthropicMessages,
            to,
            blocks.clone(),
            &[Lost("messages[1].content[0].citations;dropped"), Has("a")],
        );
    }
    let items = rs(json!({"input": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": [{"type": "url_citation", "url": "u"}]}]},
        {"role": "user", "content": "v"}]}));
    for to in [CC, AM, GM] {
        cell("citations", OpenAiResponses, to, items.clone(), &[Lost("input[1].content[0].annotations;dropped")]);
    }
}

/// How it would sound says nothing where no sound is asked for.
#[test]
fn a_voice_alone_asks_for_nothing() {
    let chat = cc(json!({"audio": {"voice": "alloy", "format": "wav"}, "modalities": ["text"]}));
    for to in [RS, AM, GM] {
        cell("voice", OpenAiChat, to, chat.clone(), &[Lacks("alloy"), Whole]);
    }
}

#[test]
fn documents_of_mistrals_clients() {
    let chat = said(
        OpenAiChat,
        json!([{"type": "document_url", "document_url": "https://a.example/x.pdf", "document_name": "x"}]),
    );
    cell(
        "document_url",
        OpenAiChat,
        AM,
        chat.clone(),
        &[Is("/messages/0/content/0/source/url", json!("https://a.example/x.pdf")), Has("x")],
    );
    cell(
        "document_url",
        OpenAiChat,
        RS,
        chat.clone(),
        &[Is("/input/0/content/0/file_url", json!("https://a.example/x.pdf"))],
    );
    cell("document_url", OpenAiChat, &["gemini-2.5"], chat, &[Refused("messages")]);
    for to in [RS, AM, GM] {
        cell(
            "unknown medium",
            OpenAiChat,
            to,
            said(OpenAiChat, json!([{"type": "hologram_url", "hologram_url": "x"}])),
            &[Refused("messages")],
        );
    }
}
