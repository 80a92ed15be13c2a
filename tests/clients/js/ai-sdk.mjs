// Vercel's AI SDK over its providers. All take and give the AI SDK's own messages.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, streamText } from "ai";
import { resultsOf, serve } from "./serve.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

const openai = (base_url, apiKey) => createOpenAI({ baseURL: base_url + "/v1", apiKey });
const providers = {
  openai: { model: (url, key) => openai(url, key), thinking: { openai: { reasoningEffort: "medium", reasoningSummary: "auto", store: false, forceReasoning: true } }, always: { openai: { store: false } } },
  "openai-chat": { model: (url, key) => openai(url, key).chat, thinking: { openai: { reasoningEffort: "medium", forceReasoning: true } } },
  compatible: {
    model: (url, key) => createOpenAICompatible({ name: "qingwave", baseURL: url + "/v1", apiKey: key, includeUsage: true, supportsStructuredOutputs: true }),
    thinking: { qingwave: { reasoningEffort: "medium" } },
  },
  anthropic: {
    model: (url, key) => createAnthropic({ baseURL: url + "/v1", apiKey: key }),
    thinking: { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
  },
  google: {
    model: (url, key) => createGoogle({ baseURL: url + "/v1beta", apiKey: key }),
    thinking: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } } },
  },
};

const make = ({ model, thinking, always }) => (base_url, key) => {
  const provider = model(base_url, key);
  return {
    async ask(ask) {
      const content = resultsOf(ask).map(([toolCallId, value]) => ({
        type: "tool-result", toolCallId, toolName: ask.after.calls.find((call) => call.id === toolCallId).name, output: { type: "text", value },
      }));
      const messages = [...(ask.after?.messages ?? []), content.length ? { role: "tool", content } : userTurn(ask)];
      const request = { model: provider(ask.model), messages, maxRetries: 0, providerOptions: ask.thinking ? thinking : always };
      if (ask.system) request.system = ask.system;
      if (ask.tools.length) request.tools = Object.fromEntries(ask.tools.map(toolOf));
      if (ask.force) request.toolChoice = { type: "tool", toolName: ask.force };
      if (ask.schema) request.output = Output.object({ schema: jsonSchema(ask.schema) });
      if (ask.max) request.maxOutputTokens = ask.max;
      if (ask.stop) request.stopSequences = [ask.stop];
      return ask.mode === "whole" ? answer(await generateText(request), messages) : collect(request, messages);
    },
  };
};

const toolOf = ({ name, description, parameters }) => [name, { description, inputSchema: jsonSchema(parameters) }];

function userTurn(ask) {
  const picture = { type: "image", image: ask.image, mediaType: "image/png" };
  return { role: "user", content: ask.image ? [{ type: "text", text: ask.prompt }, picture] : ask.prompt };
}

async function collect(request, messages) {
  let pieces = 0;
  const result = streamText({ ...request, onError() {} });
  for await (const part of result.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta" || part.type === "reasoning-delta") pieces++;
  }
  const [text, reasoningText, toolCalls, finishReason, usage, response] = await Promise.all(
    [result.text, result.reasoningText, result.toolCalls, result.finishReason, result.usage, result.response]);
  return answer({ text, reasoningText, toolCalls, finishReason, usage, response }, messages, pieces);
}

function answer({ text, reasoningText, toolCalls, finishReason, usage, response }, messages, pieces = 0) {
  const calls = toolCalls.map(({ toolCallId, toolName, input }) => ({ id: toolCallId, name: toolName, arguments: input }));
  return {
    text, thinking: reasoningText ?? "", finish: finishReason, pieces, calls,
    usage: {
      input: usage.inputTokens, output: usage.outputTokens, total: usage.totalTokens ?? null,
      reasoning: usage.outputTokenDetails?.reasoningTokens ?? 0, cached: usage.inputTokenDetails?.cacheReadTokens ?? 0,
    },
    history: { messages: [...messages, ...response.messages], calls },
  };
}

await serve(Object.fromEntries(Object.entries(providers).map(([kind, provider]) => [kind, make(provider)])));
