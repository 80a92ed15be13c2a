// @anthropic-ai/sdk: Messages.
import Anthropic from "@anthropic-ai/sdk";
import { resultsOf, serve } from "./serve.mjs";

function make(base_url, key) {
  const client = new Anthropic({ baseURL: base_url, apiKey: key, maxRetries: 0, timeout: 60_000 });
  return {
    models: async () => (await Array.fromAsync(client.models.list({ limit: 1000 }))).map((model) => model.id),
    count: async ({ model, prompt }) =>
      (await client.messages.countTokens({ model, messages: [{ role: "user", content: prompt }] })).input_tokens,
    async ask(ask) {
      const results = resultsOf(ask).map(([tool_use_id, content]) => ({ type: "tool_result", tool_use_id, content }));
      const messages = [...(ask.after ?? []), results.length ? { role: "user", content: results } : userTurn(ask)];
      const request = { model: ask.model, messages, ...options(ask) };
      if (ask.mode === "whole") return answer(await client.messages.create(request), messages);
      if (ask.mode === "helper") {
        const stream = client.messages.stream(request);
        let pieces = 0;
        stream.on("text", () => pieces++).on("thinking", () => pieces++);
        return answer(await stream.finalMessage(), messages, pieces);
      }
      return collect(await client.messages.create({ ...request, stream: true }), messages);
    },
  };
}

function userTurn(ask) {
  const picture = { type: "image", source: { type: "base64", media_type: "image/png", data: ask.image } };
  return { role: "user", content: ask.image ? [{ type: "text", text: ask.prompt }, picture] : ask.prompt };
}

function options(ask) {
  const more = { max_tokens: ask.max ?? 4096 };
  if (ask.system) more.system = ask.system;
  if (ask.tools.length) more.tools = ask.tools.map(({ parameters, ...tool }) => ({ ...tool, input_schema: parameters }));
  if (ask.force) more.tool_choice = { type: "tool", name: ask.force };
  if (ask.schema) more.output_config = { format: { type: "json_schema", schema: ask.schema } };
  if (ask.thinking) more.thinking = { type: "enabled", budget_tokens: 1024 };
  if (ask.stop) more.stop_sequences = [ask.stop];
  return more;
}

async function collect(stream, messages) {
  const message = { content: [], usage: {}, stop_reason: null };
  let pieces = 0, done = false;
  for await (const event of stream) {
    const block = message.content.at(-1);
    switch (event.type) {
      case "message_start": Object.assign(message.usage, event.message.usage); break;
      case "content_block_start":
        if (event.index !== message.content.length) throw new Error(`block ${event.index} out of order`);
        message.content.push({ ...event.content_block, json: "" });
        break;
      case "content_block_delta":
        if (event.delta.type === "text_delta") { block.text += event.delta.text; pieces++; }
        if (event.delta.type === "thinking_delta") { block.thinking += event.delta.thinking; pieces++; }
        if (event.delta.type === "signature_delta") block.signature = event.delta.signature;
        if (event.delta.type === "input_json_delta") block.json += event.delta.partial_json;
        break;
      case "message_delta":
        for (const [name, value] of Object.entries(event.usage)) if (value !== null) message.usage[name] = value;
        message.stop_reason = event.delta.stop_reason;
        break;
      case "message_stop": done = true;
    }
  }
  if (!done) throw new Error("the stream ended without message_stop");
  for (const block of message.content) {
    if (block.type === "tool_use") block.input = JSON.parse(block.json || "{}");
    delete block.json;
  }
  return answer(message, messages, pieces);
}

function answer({ content, usage, stop_reason }, messages, pieces = 0) {
  const of = (type) => content.filter((block) => block.type === type);
  const cached = usage.cache_read_input_tokens ?? 0;
  return {
    text: of("text").map((block) => block.text).join(""), thinking: of("thinking").map((block) => block.thinking).join(""),
    calls: of("tool_use").map((block) => ({ id: block.id, name: block.name, arguments: block.input })), finish: stop_reason, pieces,
    usage: {
      input: usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0), output: usage.output_tokens, cached,
      reasoning: usage.output_tokens_details?.thinking_tokens ?? 0,
    },
    history: [...messages, { role: "assistant", content }],
  };
}

await serve({ "": make });
