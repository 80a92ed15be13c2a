// openai-node: Chat Completions and Responses.
import OpenAI from "openai";
import { dataUrl, resultsOf, serve } from "./serve.mjs";

const connect = (base_url, key) => new OpenAI({ baseURL: base_url + "/v1", apiKey: key, maxRetries: 0, timeout: 60_000 });
const models = async (client) => (await Array.fromAsync(client.models.list())).map((model) => model.id);
const embed = async (client, { model, texts, ...more }) =>
  (await client.embeddings.create({ model, input: texts, ...more })).data.map((item) => item.embedding);

function chat(base_url, key) {
  const client = connect(base_url, key);
  return {
    models: () => models(client),
    embed: (args) => embed(client, args),
    async ask(ask) {
      const results = resultsOf(ask).map(([tool_call_id, content]) => ({ role: "tool", tool_call_id, content }));
      const messages = ask.after ? [...ask.after] : ask.system ? [{ role: "system", content: ask.system }] : [];
      messages.push(...(results.length ? results : [chatTurn(ask)]));
      const request = { model: ask.model, messages, ...chatOptions(ask) };
      if (ask.mode === "whole") return chatAnswer(await client.chat.completions.create(request), messages);
      request.stream_options = { include_usage: true };
      if (ask.mode === "helper") {
        const stream = client.chat.completions.stream(request);
        let pieces = 0;
        stream.on("content", () => pieces++);
        return chatAnswer(await stream.finalChatCompletion(), messages, pieces);
      }
      return collect(await client.chat.completions.create({ ...request, stream: true }), messages);
    },
  };
}

function chatTurn(ask) {
  const picture = [{ type: "text", text: ask.prompt }, { type: "image_url", image_url: { url: dataUrl(ask.image) } }];
  return { role: "user", content: ask.image ? picture : ask.prompt };
}

function chatOptions(ask) {
  const more = {};
  if (ask.tools.length) more.tools = ask.tools.map((tool) => ({ type: "function", function: { ...tool, strict: true } }));
  if (ask.force) more.tool_choice = { type: "function", function: { name: ask.force } };
  if (ask.schema) more.response_format = { type: "json_schema", json_schema: { name: "answer", schema: ask.schema, strict: true } };
  if (ask.thinking) more.reasoning_effort = "medium";
  if (ask.max) more.max_completion_tokens = ask.max;
  if (ask.stop) more.stop = [ask.stop];
  return more;
}

// As most programs read a stream: text and calls, nothing else.
async function collect(stream, messages) {
  const message = { role: "assistant", content: "" };
  let usage = null, finish = null, pieces = 0, thinking = "";
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    for (const { delta, finish_reason } of chunk.choices) {
      finish = finish_reason ?? finish;
      thinking += delta.reasoning_content ?? "";
      if (delta.content || delta.reasoning_content) pieces++;
      message.content += delta.content ?? "";
      for (const piece of delta.tool_calls ?? []) {
        message.tool_calls ??= [];
        const call = (message.tool_calls[piece.index] ??= { id: piece.id, type: "function", function: { name: "", arguments: "" } });
        call.function.name += piece.function?.name ?? "";
        call.function.arguments += piece.function?.arguments ?? "";
      }
    }
  }
  const answer = chatAnswer({ choices: [{ message, finish_reason: finish }], usage }, messages, pieces);
  return { ...answer, thinking };
}

function chatAnswer({ choices: [{ message, finish_reason }], usage }, messages, pieces = 0) {
  return {
    text: message.content ?? "", thinking: message.reasoning_content ?? "", finish: finish_reason, pieces,
    calls: (message.tool_calls ?? []).map(({ id, function: f }) => ({ id, name: f.name, arguments: JSON.parse(f.arguments) })),
    usage: usage && {
      input: usage.prompt_tokens, output: usage.completion_tokens, total: usage.total_tokens,
      reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0, cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    },
    history: [...messages, message],
  };
}

function responses(base_url, key) {
  const client = connect(base_url, key);
  return {
    models: () => models(client),
    count: async ({ model, prompt }) => (await client.responses.inputTokens.count({ model, input: prompt })).input_tokens,
    async ask(ask) {
      const results = resultsOf(ask).map(([call_id, output]) => ({ type: "function_call_output", call_id, output }));
      const input = [...(ask.after ?? []), ...(results.length ? results : [responsesTurn(ask)])];
      const request = { model: ask.model, input, ...responsesOptions(ask) };
      if (ask.mode === "whole") return responsesAnswer(await client.responses.create(request), input);
      let pieces = 0, last = null;
      const stream = ask.mode === "helper" ? client.responses.stream(request) : await client.responses.create({ ...request, stream: true });
      for await (const event of stream) {
        if (event.type.endsWith("text.delta")) pieces++;
        last = event;
      }
      if (ask.mode === "helper") return responsesAnswer(await stream.finalResponse(), input, pieces);
      if (!["response.completed", "response.incomplete"].includes(last?.type)) throw new Error(`ended with ${last?.type}`);
      return responsesAnswer(last.response, input, pieces);
    },
  };
}

function responsesTurn(ask) {
  const content = [{ type: "input_text", text: ask.prompt }];
  if (ask.image) content.push({ type: "input_image", detail: "auto", image_url: dataUrl(ask.image) });
  return { role: "user", content };
}

function responsesOptions(ask) {
  const more = { store: false, include: ["reasoning.encrypted_content"] };
  if (ask.system) more.instructions = ask.system;
  if (ask.tools.length) more.tools = ask.tools.map((tool) => ({ type: "function", ...tool, strict: true }));
  if (ask.force) more.tool_choice = { type: "function", name: ask.force };
  if (ask.schema) more.text = { format: { type: "json_schema", name: "answer", schema: ask.schema, strict: true } };
  if (ask.thinking) more.reasoning = { effort: "medium", summary: "auto" };
  if (ask.max) more.max_output_tokens = ask.max;
  return more;
}

function responsesAnswer(response, input, pieces = 0) {
  const of = (type) => response.output.filter((item) => item.type === type);
  const text = of("message").flatMap((item) => item.content).map((part) => part.text ?? "").join("");
  return {
    text, pieces, thinking: of("reasoning").flatMap((item) => item.summary).map((part) => part.text).join(""),
    finish: response.incomplete_details?.reason ?? response.status,
    calls: of("function_call").map((item) => ({ id: item.call_id, name: item.name, arguments: JSON.parse(item.arguments) })),
    usage: {
      input: response.usage.input_tokens, output: response.usage.output_tokens, total: response.usage.total_tokens,
      reasoning: response.usage.output_tokens_details.reasoning_tokens, cached: response.usage.input_tokens_details.cached_tokens,
    },
    history: [...input, ...response.output.map(sendable)],
  };
}

// The SDK's own objects, but for what its helpers add for the program.
function sendable({ parsed_arguments, ...item }) {
  return item.type === "message" ? { ...item, content: item.content.map(({ parsed, ...part }) => part) } : item;
}

await serve({ chat, responses });
